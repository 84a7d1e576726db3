"""The points of a study with fresh seeds, on one GPU of a machine without Ray.

In: a study file with `search.start_from`. Out: `rows.jsonl`, a line for the base and for each
training, and the checkpoint of the base.

    python benchmarks/methods_on_one_gpu.py --space search_spaces/methods_real.yaml --out DIR

The trainings are those that the study itself would run, by the same functions; some processes share
the GPU. No new one is begun after `--seconds`, and what is under way then is stopped.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import TimeoutError, get_context
from pathlib import Path
from typing import Any

from torch import nn

from xmrc.data.cache import Cache
from xmrc.data.features import WindowSize
from xmrc.data.scored_set import ScoredSet
from xmrc.data.store import load_examples
from xmrc.learning.candidates import CandidateSource, CandidateStore, mine_spans, window_codes
from xmrc.learning.checkpoints import MODEL, Checkpoints
from xmrc.learning.job import TrainingJob, open_training
from xmrc.learning.model import best_device, load_model, load_tokenizer, on_device
from xmrc.learning.reader import ReadingJob, predictions_from, read_share
from xmrc.learning.step import Worker
from xmrc.scoring.gxlt import score
from xmrc.scoring.predictions import PAIR
from xmrc.search.corpora import StudyData, study_corpora
from xmrc.search.prepare import base_job, prepare, trial_job
from xmrc.settings import Study, load_study

CANDIDATES = CandidateSource("the base", "the training corpus", "auto")
SEEDS = range(101, 201)  # none is that of a file


@dataclass
class Alone:
    """The only worker of a training; keeps its last report, and its checkpoints, in `folder`."""

    folder: Path
    metrics: dict[str, Any] | None = None

    @property
    def worker(self) -> Worker:
        return Worker(device=best_device())

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder, None)

    @property
    def reader(self) -> str:
        return str(self.checkpoints.best() / MODEL)

    def report(self, metrics: dict[str, Any]) -> None:
        self.metrics = metrics


@dataclass(frozen=True)
class Bench:
    """What all trainings share."""

    study: Study
    prepared: StudyData
    out: Path

    @property
    def base(self) -> str:
        return Alone(self.out / "base").reader

    def job(self, values: Mapping[str, Any]) -> TrainingJob:
        """The study's own training with these values."""
        job = trial_job(self.study, self.prepared, self.base, 1, CANDIDATES)
        return job.with_values(values)


def main() -> None:
    options = parse()
    began = time.time()
    study = load_study(options.space, options.overrides)
    prepared = prepare(study.settings, study_corpora(study), Cache(options.out / "cache"))
    bench = Bench(study, prepared, options.out)
    train_base(bench)
    mine(bench)
    say(f"base and candidates: {time.time() - began:.0f} s")
    until = began + options.seconds
    with (options.out / "rows.jsonl").open("w") as file:
        for row in rows(bench, options.seeds, options.processes, until):
            file.write(json.dumps(row) + "\n")
            file.flush()
            scores = {name: round(row["select"][name], 1) for name in ("gxlt_f1", "xlt_f1")}
            say(f"{time.time() - began:4.0f} s: {row['values']} {scores} {row['seconds']:.0f} s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    options.out = options.out.absolute()
    return options


def train_base(bench: Bench) -> None:
    job = base_job(bench.study.settings, bench.prepared, threads=4)
    with open_training(job, Alone(bench.out / "base")) as train:
        train()


def mine(bench: Bench) -> None:
    """Z of every window that a trial can have: the points sample all the same pairs or fewer."""
    languages = bench.study.settings.data.languages
    data = bench.job({"data.ntl": len(languages)}).data
    windows = data.windows(load_tokenizer(bench.base))
    model = on_device(load_model(bench.base, seed=0), best_device())
    size = bench.study.settings.objective.section("candidates").size
    store = CandidateStore(Cache(data.cache), CANDIDATES.key(data.size))
    codes = window_codes(windows)
    store.add(codes, size, lambda rows: mine_spans(model, windows.subset(rows), size, "auto"))
    golds = store.open(codes, size).share_with_gold(windows)
    say(f"{len(windows)} windows; the gold is in Z of {golds:.1%} of the questions")


def rows(bench: Bench, seeds: int, processes: int, until: float) -> Iterator[dict[str, Any]]:
    """The base, then every point with the first seed, every point with the second, and so on."""
    yield {"values": "base", "seconds": 0.0, **scores_of(bench, bench.base)}
    points = [
        {**point, "training.seed": seed}
        for seed in SEEDS[:seeds]
        for point in bench.study.search.start_from
    ]
    with get_context("spawn").Pool(processes) as pool:  # what runs at its end is killed
        found = pool.imap_unordered(partial(trained, bench), points)
        try:
            for _ in points:
                yield found.next(timeout=max(0.0, until - time.time()))
        except TimeoutError:
            say("the time is over")


def trained(bench: Bench, values: Mapping[str, Any]) -> dict[str, Any]:
    """One training from the base, and what its reader scores."""
    began = time.time()
    folder = bench.out / "trials" / str(time.time_ns())
    alone = Alone(folder)
    with open_training(bench.job(values), alone) as train:
        train()
    spent = time.time() - began
    assert alone.metrics is not None
    last = {key: value for key, value in alone.metrics.items() if isinstance(value, int | float)}
    row = {"values": dict(values), "seconds": spent, "last": last}
    row |= scores_of(bench, alone.reader)
    shutil.rmtree(folder)
    return row


def scores_of(bench: Bench, model: str) -> dict[str, dict[str, float]]:
    """The metrics of a reader on the selection set and on each final one."""
    final = {one.name: one for one in bench.prepared.final}
    return {
        name: read(bench, model, scored)
        for name, scored in {"select": bench.prepared.select, **final}.items()
    }


def read(bench: Bench, model: str, scored: ScoredSet) -> dict[str, float]:
    settings, examples = bench.study.settings, load_examples(scored.path)
    job = ReadingJob(
        model=model,
        examples=scored.path,
        size=WindowSize.of(settings.data),
        precision=settings.training.precision,
        cache=bench.prepared.cache,
        threads=1,
    )
    scores = score(examples, predictions_from(job, examples, [read_share(job, 0, 1)]))
    f1 = scores.pairs.set_index(PAIR)["f1"].to_dict()
    return {**scores.metrics, **{f"f1 {'-'.join(pair)}": value for pair, value in f1.items()}}


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()

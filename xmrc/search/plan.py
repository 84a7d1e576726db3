"""What a study would do. In: checked settings. Out: lines for people; nothing is started.

Corpora are read and tokenised (into a folder that is thrown away), so the counts are real.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.data.corpora import Corpus
from xmrc.data.features import Windows
from xmrc.data.store import load_examples
from xmrc.learning.model import load_tokenizer
from xmrc.search.cluster import named_cluster, ray_cluster
from xmrc.search.corpora import StudyData, ntl_values
from xmrc.search.folder import storage_path
from xmrc.search.mining import largest_size, mining_data, needs_candidates
from xmrc.search.needs import MemoryNeeds, check_disk, disk_needs, in_gib, study_needs
from xmrc.search.prepare import check_study, prepare
from xmrc.search.resources import Node, cluster_nodes, fit_trials, this_machine
from xmrc.search.space import SearchSpace, trial_count
from xmrc.settings import RunSettings, Study, to_yaml, with_values


@dataclass(frozen=True)
class _Epoch:
    """One pass over the training pairs at one ntl."""

    ntl: int
    examples: int
    windows: int
    steps: int


def print_plan(study: Study, console: Console) -> None:
    """Print the resolved settings, the space, the corpora, an epoch, the trials and their place.

    Errors: XmrcError wherever the study itself would refuse to start.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    corpora = check_study(study)
    place, nodes = _machines()
    needs = study_needs(study)
    fit = fit_trials(study.resources, nodes, needs)
    disk, root = disk_needs(study, fit.at_once), storage_path(study.storage)
    free = check_disk(disk, root, None)
    say(to_yaml(study).rstrip())
    say(f"\nloss: {study.settings.objective.formula}")
    _say_space(study, say)
    _say_corpora(corpora, study.settings, say)
    with tempfile.TemporaryDirectory() as folder:
        _say_training(study, prepare(study.settings, corpora, Cache(Path(folder))), say)
    trials = trial_count(study)
    say(f"\ntrials: {trials} by {study.search.sampler}, scheduler {study.search.scheduler}")
    if (again := study.search.confirm) is not None:
        say(f"confirmation: the best {again.top}, each with {again.seeds} fresh seeds")
    say(f"resources of one trial, on {place}: {fit.describe()}")
    say(_memory_line(nodes, needs))
    say(
        f"disk: at most {in_gib(disk.most)}, of which {in_gib(disk.kept)} are kept; "
        f"{in_gib(free)} are free in {root}"
    )


def _memory_line(nodes: Sequence[Node], needs: MemoryNeeds) -> str:
    """`memory: about 1.9 GiB for a worker; on its GPU about 2.1 GiB`."""
    told = "not looked at" if needs.host == 0 else f"about {in_gib(needs.host)} for a worker"
    if not any(node.gpus for node in nodes):
        return f"memory: {told}"
    known = all(node.gpu_memory < math.inf for node in nodes if node.gpus)
    limit = "" if known else ", which limits nothing: how large GPUs are is unknown"
    return f"memory: {told}; on its GPU about {in_gib(needs.gpu)}{limit}"


def _machines() -> tuple[str, list[Node]]:
    """Where the study would run: the cluster of RAY_ADDRESS, else this machine."""
    address = named_cluster()
    if address is None:
        return "this machine", this_machine()
    with ray_cluster():
        return f"the cluster at {address}", cluster_nodes()


def _say_space(study: Study, say: Callable[[str], None]) -> None:
    say("\nsearched:" if study.space else "\nsearched: nothing")
    for row in SearchSpace(study.space).describe():
        say(f"  {row.key}: {row.domain}{f'  when {row.condition}' if row.condition else ''}")


def _say_corpora(corpora: StudyData, settings: RunSettings, say: Callable[[str], None]) -> None:
    say("\ncorpora:")
    named = {"base": corpora.base, "train": corpora.train, "select": corpora.select}
    for role, corpus in named.items():
        if corpus is not None:
            say(f"  {role}: {describe_corpus(corpus)}")
    if corpora.dropped:
        say(f"  base: {corpora.dropped} examples left out, which are scored too")
    if corpora.select.label:
        say(f"  select: {corpora.select.label}")
    if settings.base is not None and settings.base.model is not None:
        say(f"  base: {settings.base.model}, trained already")
    for one in corpora.unseen:
        say(f"  {one.role}: {describe_corpus(one)}{f', {one.label}' if one.label else ''}")


def describe_corpus(corpus: Corpus) -> str:
    """`xquad: 2380 examples, 1190 question ids, questions in en es, contexts in en es (...)`."""
    ids = len({example.id for example in corpus.examples})
    asked, told = " ".join(corpus.question_languages), " ".join(corpus.context_languages)
    left_out = f"; {corpus.left_out} left out, their answers astray" if corpus.left_out else ""
    return (
        f"{corpus.name}: {len(corpus.examples)} examples, {ids} question ids, "
        f"questions in {asked}, contexts in {told} ({corpus.licence}){left_out}"
    )


def _say_training(study: Study, prepared: StudyData, say: Callable[[str], None]) -> None:
    settings, tokenizer = study.settings, load_tokenizer(prepared.encoder)

    def windows_of(corpus: Corpus) -> Windows:
        return prepared.training(settings).cut(load_examples(corpus.path), tokenizer)

    say("\nan epoch:")
    if prepared.base is not None and settings.base is not None:
        base = windows_of(prepared.base)
        steps = -(-len(base) // settings.base.batch_size)
        say(f"  base: {len(base.examples)} examples, {len(base)} windows, {steps} steps")
    for epoch in _epochs(study, prepared):
        trial = f"trial at ntl {epoch.ntl}" if settings.data.sampling == "pairs" else "trial"
        say(f"  {trial}: {epoch.examples} examples, {epoch.windows} windows, {epoch.steps} steps")
    if needs_candidates(study):
        size = largest_size(study)
        # the windows that the base reads, if no study has mined any of them
        count = sum(len(data.windows(tokenizer)) for data in mining_data(study, prepared))
        say(f"  candidates: the {size} best spans of the base in {count} windows, mined once")
    selection = windows_of(prepared.select)
    say(f"  evaluation: {len(selection.examples)} examples, {len(selection)} windows")


def _epochs(study: Study, prepared: StudyData) -> list[_Epoch]:
    """One epoch at each ntl that trials can have; of a range, at its ends and the file's own."""
    tokenizer = load_tokenizer(prepared.encoder)
    found = []
    own = study.settings.data.ntl
    values = ntl_values(study)
    for ntl in sorted(values | ({own} if min(values) < own < max(values) else set())):
        settings = with_values(study.settings, {"data.ntl": ntl})
        windows = prepared.training(settings).windows(tokenizer)
        steps = -(-len(windows) // settings.training.batch_size)
        found.append(_Epoch(ntl, len(windows.examples), len(windows), steps))
    return found

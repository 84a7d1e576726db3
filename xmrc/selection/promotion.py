"""Whether the winner becomes champion. In: its seeds, the registered champion. Out: a `Verdict`.

Both sides are judged on a set that no search has seen. The scores of a champion's seeds lie beside
the run that registered it; tags of its version say where, and of which set they are.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError, ResourceError
from xmrc.scoring.evaluation_files import read_scores, write_scores
from xmrc.scoring.gxlt import GxltScores
from xmrc.search.folder import CHAMPION, PROMOTION, VERDICT
from xmrc.search.ledger import TrialRecord
from xmrc.search.reading import read_on_cluster
from xmrc.search.run import Run
from xmrc.selection.contenders import SEED, Contender
from xmrc.selection.decision import Decision, decide
from xmrc.settings import PromotionSettings
from xmrc.tables import Table, frame_of
from xmrc.tracking.artifacts import fetch_file
from xmrc.tracking.registry import Version, version_of
from xmrc.tracking.tracker import Tracker

RUN, SET, SEEDS = "xmrc.promotion_run", "xmrc.promotion_set", "xmrc.promotion_seeds"


@dataclass(frozen=True)
class Verdict:
    """The alias that a version gets, why, and the tags by which the next winner is compared."""

    alias: str
    reason: str
    tags: Mapping[str, str] = field(default_factory=dict)


def decide_promotion(run: Run, found: Sequence[Contender]) -> Verdict:
    """Compare the winner's seeds with the champion's; what was judged once stays as it is.

    `found`: the contenders of a confirmation, the winner first; empty where nothing was trained
    again. Errors: ResourceError if MLflow does not answer.
    """
    known = run.folder.state().get(VERDICT)
    if known is not None:
        return Verdict(**known)
    champion = version_of(run.tracker, run.study.tracking.register_as, CHAMPION)
    verdict = _compared(run, found[0], champion) if found else unconfirmed(champion)
    run.folder.remember(**{VERDICT: asdict(verdict)})
    return verdict


def unconfirmed(champion: Version | None) -> Verdict:
    """A winner without fresh seeds has nothing to beat a champion with."""
    if champion is None:
        return verdict_of(decide(None, []), {})
    text = "it was not confirmed with fresh seeds (search.confirm), so not compared with the"
    return verdict_of(Decision(False, f"{text} champion, version {champion.number}"), {})


def _compared(run: Run, winner: Contender, champion: Version | None) -> Verdict:
    """The seeds of both on the promotion set."""
    unseen = run.prepared.promotion
    assert unseen is not None, "a study with confirmation has a promotion set"
    scores = _score_seeds(run, unseen, winner.seeds)
    decision = compare_with_champion(
        run.tracker, champion, scores, unseen.content, run.study.promotion
    )
    tags = {RUN: run.tracker.run_id(), SET: unseen.content, SEEDS: json.dumps(len(scores))}
    return verdict_of(decision, tags)


def _score_seeds(run: Run, unseen: ScoredSet, seeds: Sequence[TrialRecord]) -> list[GxltScores]:
    """Let the reader of every seed answer the promotion set; files `promotion/1.json` and on."""
    run.say(f"promotion: {len(seeds)} seeds on {unseen.name}, of which the search saw nothing")
    found, rows = [], []
    for number, record in enumerate(seeds, 1):
        file = run.folder.path / PROMOTION / _seed_file(number)
        if not _is_kept(run, file):
            write_scores(file, read_on_cluster(run, unseen, str(run.reader(record))).scores)
        run.tracker.log_artifact(file, PROMOTION)
        found.append(read_scores(file))
        rows.append({"seed": record.values[SEED], **found[-1].metrics})
    run.tracker.log_table(Table(frame_of(rows)), f"{PROMOTION}/seeds.csv")
    return found


def _is_kept(run: Run, file: Path) -> bool:
    """Whether the scores are there; a damaged file is named, and does not count."""
    try:
        return file.exists() and bool(read_scores(file))
    except DataError as damage:
        run.say(f"{damage}; the seed is read again")
        return False


def compare_with_champion(
    tracker: Tracker,
    champion: Version | None,
    scores: Sequence[GxltScores],
    unseen: str,
    settings: PromotionSettings,
) -> Decision:
    """Whether the seeds beat those of the registered champion; `unseen` names the set by content.

    What cannot be compared is not promoted, and the reason says why.
    """
    before: Sequence[GxltScores] | None = None
    if champion is not None:
        if champion.tags.get(SET, unseen) != unseen:
            text = f"the champion, version {champion.number}, was scored on another promotion set"
            return Decision(False, f"{text}, so its seeds cannot be compared with these")
        try:
            before = _stored_scores(tracker, champion)
        except (DataError, ResourceError) as error:
            text = f"the scores of the champion, version {champion.number}, are not to be had"
            return Decision(False, f"{text}: {error}")
    limits = {"alpha": settings.alpha, "max_language_drop": settings.max_language_drop}
    return decide(before, scores, **limits)


def _stored_scores(tracker: Tracker, champion: Version) -> list[GxltScores]:
    """The scores of a champion's seeds on its promotion set; none where none were kept.

    Errors: ResourceError if they are not where its tags say, DataError if they are not scores.
    """
    if RUN not in champion.tags:
        return []
    with tempfile.TemporaryDirectory() as folder:
        return [
            read_scores(
                fetch_file(
                    champion.tags[RUN],
                    _seed_file(number),
                    [PROMOTION],
                    uri=tracker.uri,
                    storage="",
                    into=Path(folder),
                )
            )
            for number in range(1, 1 + int(champion.tags[SEEDS]))
        ]


def verdict_of(decision: Decision, tags: Mapping[str, str]) -> Verdict:
    """What is written on the version."""
    reason = "Champion" if decision.promoted else "Not champion"
    return Verdict(decision.alias, f"{reason}: {decision.reason}.", tags)


def _seed_file(number: int) -> str:
    """The file with the scores of one of the seeds, counted from 1."""
    return f"{number}.json"

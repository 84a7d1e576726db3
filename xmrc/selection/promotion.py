"""Whether the winner becomes champion. In: its seeds, the registered champion. Out: a `Verdict`.

Both sides are judged on a set that no search has seen. The scores of a champion's seeds lie beside
the run that registered it; tags of its version say where, and of which set they are.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmrc.errors import DataError, ResourceError
from xmrc.scoring.evaluation_files import read_scores, write_scores
from xmrc.scoring.gxlt import GxltScores
from xmrc.search.folder import CHAMPION, PROMOTION, StudyFolder
from xmrc.search.reading import read_on_cluster
from xmrc.search.run import Run
from xmrc.selection.contenders import SEED, Contender
from xmrc.selection.decision import Decision, decide
from xmrc.settings import PromotionSettings, Study
from xmrc.tables import Table, frame_of
from xmrc.tracking.artifacts import fetch_file
from xmrc.tracking.registry import ALIAS, Version, version_of
from xmrc.tracking.tracker import Tracker

RUN, SET, SEEDS = "xmrc.promotion_run", "xmrc.promotion_set", "xmrc.promotion_seeds"
_REASON = "xmrc.verdict"  # likewise a tag of the version
_UNSEEN = "promotion_set"  # a key of the study's state: which set it is, by content


@dataclass(frozen=True)
class Verdict:
    """The alias that a version gets, why, and the tags by which the next winner is compared."""

    alias: str
    reason: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_version(self) -> dict[str, str]:
        """All of it but the alias, as tags of the version."""
        return {**self.tags, _REASON: self.reason}


def verdict_on(version: Version) -> Verdict:
    """The verdict that was written on a version."""
    tags = {key: version.tags[key] for key in (RUN, SET, SEEDS) if key in version.tags}
    return Verdict(version.tags[ALIAS], version.tags[_REASON], tags)


def score_seeds(run: Run, found: Sequence[Contender]) -> None:
    """Let the reader of every seed of the winner answer the promotion set: `promotion/1.json` on.

    `found`: the contenders of a confirmation, the winner first; empty where nothing was trained
    again.
    """
    if not found:
        return
    unseen, seeds = run.prepared.promotion, found[0].seeds
    assert unseen is not None, "a study with confirmation has a promotion set"
    run.say(f"promotion: {len(seeds)} seeds on {unseen.name}, of which the search saw nothing")
    run.folder.remember(**{_UNSEEN: unseen.content})
    for record, file in zip(seeds, _seed_files(run.folder, found), strict=True):
        if not _is_kept(run, file):
            write_scores(file, read_on_cluster(run, unseen, str(run.reader(record))).scores)


def _is_kept(run: Run, file: Path) -> bool:
    """Whether the scores are there; a damaged file is named, and does not count."""
    try:
        return file.exists() and bool(read_scores(file))
    except DataError as damage:
        run.say(f"{damage}; the seed is read again")
        return False


def send_promotion(folder: StudyFolder, tracker: Tracker, found: Sequence[Contender]) -> None:
    """Put the scores on the promotion set beside the study's run, for those who come after."""
    rows, seeds = [], found[0].seeds if found else ()
    for record, file in zip(seeds, _seed_files(folder, found), strict=True):
        tracker.log_artifact(file, PROMOTION)
        rows.append({"seed": record.values[SEED], **read_scores(file).metrics})
    if rows:
        tracker.log_table(Table(frame_of(rows)), f"{PROMOTION}/seeds.csv")


def decide_promotion(
    folder: StudyFolder, study: Study, tracker: Tracker, found: Sequence[Contender]
) -> Verdict:
    """Compare the winner's seeds with the champion's at the server of the tracker.

    Errors: ResourceError if MLflow does not answer.
    """
    champion = version_of(tracker, study.tracking.register_as, CHAMPION)
    if not found:
        return unconfirmed(champion)
    unseen = folder.state()[_UNSEEN]
    scores = [read_scores(file) for file in _seed_files(folder, found)]
    decision = compare_with_champion(tracker, champion, scores, unseen, study.promotion)
    tags = {RUN: tracker.run_id(), SET: unseen, SEEDS: json.dumps(len(scores))}
    return verdict_of(decision, tags)


def unconfirmed(champion: Version | None) -> Verdict:
    """A winner without fresh seeds has nothing to beat a champion with."""
    if champion is None:
        return verdict_of(decide(None, []), {})
    text = "it was not confirmed with fresh seeds (search.confirm), so not compared with the"
    return verdict_of(Decision(False, f"{text} champion, version {champion.number}"), {})


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
            if not tracker.answers_within(0):
                raise
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


def _seed_files(folder: StudyFolder, found: Sequence[Contender]) -> list[Path]:
    """The files with the scores of the winner's seeds, worst first."""
    numbers = range(1, 1 + len(found[0].seeds)) if found else ()
    return [folder.path / PROMOTION / _seed_file(number) for number in numbers]


def _seed_file(number: int) -> str:
    """The file with the scores of one of the seeds, counted from 1."""
    return f"{number}.json"

"""Promotion: the set that the search never sees, and what becomes of a winner and its version."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from gxlt_scores import gxlt_scores
from mlflow import MlflowClient
from rich.console import Console

from xmrc.data.cache import Cache
from xmrc.errors import DataError, SettingsError
from xmrc.pages.findings import read_findings
from xmrc.scoring.gxlt import GxltScores, summarise
from xmrc.search.corpora import study_corpora
from xmrc.search.ledger import FINISHED, Ledger
from xmrc.search.prepare import prepare
from xmrc.selection.decision import Decision
from xmrc.selection.promotion import RUN, SEEDS, SET, compare_with_champion, unconfirmed, verdict_of
from xmrc.settings import PromotionSettings, Study, load_study
from xmrc.study import Outcome, run_study
from xmrc.tracking.artifacts import study_run
from xmrc.tracking.registry import Version
from xmrc.tracking.tracker import Tracker

STUDY = """
name: first
settings:
  encoder: demo
  base: {corpus: demo/train, limit: 100, epochs: 1, batch_size: 32, learning_rate: 2e-3}
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 20, max_length: 128, max_question_tokens: 32, stride: 16}
  training: {epochs: 1, batch_size: 16, dropout: 0.0}
space:
  training.learning_rate: {choice: [1e-3, 2e-3]}
search: {sampler: grid, evaluate_every: 1.0, confirm: {top: 2, seeds: 5}}
"""  # noqa: E501  (a section a line)
MODEL = "xmrc-gxlt"
Load = Callable[..., Study]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("study")
    path = folder / "few.yaml"
    path.write_text(STUDY)
    return lambda *overrides: load_study(path, [f"storage={folder / 'runs'}", *overrides])


def ids(examples: list) -> set[str]:
    return {one.id for one in examples}


def test_a_part_of_the_selection_set_is_kept_aside_for_promotion_alone(load: Load) -> None:
    whole = study_corpora(load("search.confirm=null"))
    assert whole.promotion is None
    corpora = study_corpora(load())
    assert corpora.promotion is not None
    aside, rest = ids(corpora.promotion.examples), ids(corpora.select.examples)
    assert not aside & rest
    assert aside | rest == ids(whole.select.examples)
    assert len(aside) < len(rest)
    assert len(corpora.promotion.examples) == 4 * len(aside)


def test_the_promotion_set_is_known_by_its_content(load: Load, tmp_path: Path) -> None:
    def content(*overrides: str) -> str:
        study = load(*overrides)
        prepared = prepare(study.settings, study_corpora(study), Cache(tmp_path))
        assert prepared.promotion is not None
        return prepared.promotion.content

    assert content() == content("settings.training.seed=9")
    assert content() != content("settings.data.limit=6")
    assert content("promotion.on=demo/test") not in {content(), content("search.seed=1")}


def test_a_set_of_its_own_leaves_the_selection_set_whole_and_is_guarded(load: Load) -> None:
    corpora = study_corpora(load("promotion.on=demo/test"))
    assert corpora.promotion is not None
    assert corpora.promotion.name == "demo/test"
    assert len(ids(corpora.select.examples)) == 20
    with pytest.raises(DataError, match=r"^promotion.on: demo/train must share no question id"):
        study_corpora(load("promotion.on=demo/train"))
    with pytest.raises(DataError, match=r"^promotion.on: no corpus is named 'demo/tset'"):
        study_corpora(load("promotion.on=demo/tset"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("promotion.on=demo/dev", "promotion.on must not be settings.data.select"),
        ("promotion.alpha=0", "promotion.alpha must be greater than 0"),
        (
            "promotion.max_language_drop=-1",
            "promotion.max_language_drop must be greater than or equal to 0",
        ),
        ("promotion.in=demo/test", "promotion.in"),
    ],
)
def test_bad_settings_are_named(load: Load, override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(override)
    assert message in str(caught.value)


def seeds(*means: float) -> list[GxltScores]:
    """Scores of one language pair."""
    return [gxlt_scores({"en-en": (mean, mean, 10)}, {"gxlt_f1": mean}) for mean in means]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder = tmp_path_factory.mktemp("mlflow")
    return Tracker.open(f"sqlite:///{folder / 'mlflow.db'}", str(folder), "promote")


def decided(tracker: Tracker, tags: Mapping[str, str] | None) -> Decision:
    champion = None if tags is None else Version("4", tags)
    winner = seeds(60.0, 61.0, 62.0, 61.5, 60.5)
    return compare_with_champion(tracker, champion, winner, "our-set", PromotionSettings())


def test_without_a_champion_the_winner_becomes_it(tracker: Tracker) -> None:
    tags = {RUN: "run", SET: "our-set", SEEDS: "5"}
    verdict = verdict_of(decided(tracker, None), tags)
    assert (verdict.alias, verdict.tags) == ("champion", tags)


def test_without_fresh_seeds_only_the_first_becomes_champion() -> None:
    first, later = unconfirmed(None), unconfirmed(Version("4", {}))
    assert (first.alias, later.alias) == ("champion", "challenger")
    assert first.reason == "Champion: the first of its name: there is no champion to beat."
    assert "not confirmed with fresh seeds" in later.reason
    assert "version 4" in later.reason


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "the champion has 0 seeds with scores to compare"),
        ({RUN: "r", SET: "another", SEEDS: "5"}, "version 4, was scored on another promotion set"),
        ({RUN: "0" * 32, SET: "our-set", SEEDS: "5"}, "version 4, are not to be had: run 000"),
    ],
)
def test_what_cannot_be_compared_is_a_challenger_that_says_why(
    tracker: Tracker, tags: Mapping[str, str], reason: str
) -> None:
    verdict = verdict_of(decided(tracker, tags), {})
    assert verdict.alias == "challenger"
    assert reason in verdict.reason
    assert verdict.reason.startswith("Not champion: ")


@pytest.fixture(scope="module")
def outcomes(cluster: None, load: Load) -> tuple[Outcome, Outcome, Outcome]:
    """A first study, a second one that learns nothing, and the first again, resumed."""
    console = Console(quiet=True)
    alone = ["name=second", "space=null", "search.trials=1", "search.sampler=random"]
    dull = load(*alone, "settings.training.learning_rate=1e-9")
    study = load("search.final=[demo/test]")
    first = run_study(study, resume=False, console=console)
    second = run_study(dull, resume=False, console=console)
    again = run_study(study, resume=True, console=console)
    return first, second, again


def registry(outcome: Outcome) -> MlflowClient:
    return MlflowClient(f"sqlite:///{outcome.folder.parents[1] / 'mlflow.db'}")


@pytest.mark.studies
def test_the_best_trials_are_trained_again_and_the_median_is_registered(
    outcomes: tuple[Outcome, Outcome, Outcome],
) -> None:
    first, *_ = outcomes
    trained = Ledger.open(first.folder / "confirm.json", "gxlt_f1")
    assert [record.state for record in trained.trials.values()] == [FINISHED] * 10
    used = {record.values["training.seed"] for record in trained.trials.values()}
    assert len(used) == 5
    winner = first.contenders[0]
    assert winner.mean == max(one.mean for one in first.contenders)
    assert first.champion.model == first.folder / str(winner.median.checkpoint) / "model"
    score = first.champion.reading.scores.metrics["gxlt_f1"]
    assert score == pytest.approx(winner.median.best)
    left = {path.parent.name for path in (first.folder / "confirm").glob("*/checkpoint_*")}
    assert left == {winner.median.id}


@pytest.mark.studies
def test_mlflow_has_the_confirmation_beside_the_trials(
    outcomes: tuple[Outcome, Outcome, Outcome],
) -> None:
    first, *_ = outcomes
    client = registry(first)
    experiment = client.get_experiment_by_name("first")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    roles = [run.data.tags.get("xmrc.role") for run in runs if "xmrc.trial_id" in run.data.tags]
    assert sorted(roles, key=str) == [None] * 2 + ["confirmation"] * 10
    (parent,) = [run for run in runs if "xmrc.trial_id" not in run.data.tags]
    files = {one.path for one in client.list_artifacts(parent.info.run_id, "promotion")}
    assert files == {f"promotion/{name}" for name in
                     ("1.json", "2.json", "3.json", "4.json", "5.json", "seeds.csv")}  # fmt: skip
    assert parent.data.metrics["confirmed_gxlt_f1_mean"] == pytest.approx(first.contenders[0].mean)
    files = {one.path for one in client.list_artifacts(parent.info.run_id)}
    assert {"confirmation.csv", "confirmation_pairs.csv", "report"} <= files
    uri = f"sqlite:///{first.folder.parents[1] / 'mlflow.db'}"
    assert study_run(f"models:/{MODEL}@champion", uri=uri, storage="") == parent.info.run_id


@pytest.mark.studies
def test_the_page_is_of_the_winner(outcomes: tuple[Outcome, Outcome, Outcome]) -> None:
    first, *_ = outcomes
    found = read_findings(first.folder)
    assert found.best.id == first.champion.trial.id
    assert found.reader.id == first.contenders[0].median.id
    assert summarise(found.champion).metrics == first.champion.reading.scores.metrics
    assert found.verdict is not None
    assert (found.verdict.alias, found.version) == ("champion", first.registration.version)
    ((readings,), (scored,)) = found.finals.values(), first.finals.values()
    read = {name: summarise(one).metrics for name, one in readings.items()}
    assert read == {name: one.metrics for name, one in scored.items()}
    drawn = {path.stem for path in (first.folder / "report").glob("*.png")}
    assert {"confirmation", "final-demo-test", "gxlt-f1-best"} <= drawn


@pytest.mark.studies
def test_the_first_is_champion_and_one_that_does_not_beat_it_is_challenger(
    outcomes: tuple[Outcome, Outcome, Outcome],
) -> None:
    first, second, again = outcomes
    client = registry(first)
    champion = client.get_model_version_by_alias(MODEL, "champion")
    challenger = client.get_model_version_by_alias(MODEL, "challenger")
    assert (str(champion.version), str(challenger.version)) == ("1", "2")
    assert second.registration.model == f"models:/{MODEL}@challenger"
    assert "no champion to beat" in champion.description
    assert "over 5 fresh seeds" in champion.description
    assert "Not champion: not significantly better" in challenger.description
    assert champion.tags[SET] == challenger.tags[SET]
    assert again.registration.verdict == first.registration.verdict
    assert again.registration.version == first.registration.version
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 2

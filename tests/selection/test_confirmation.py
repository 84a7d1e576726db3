"""Confirmation: which trials are trained again, with which seeds, and who wins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quiet_runs import run_of
from scipy.stats import ttest_ind

from xmrc.errors import SettingsError
from xmrc.search.ledger import FAILED, FINISHED, STOPPED, Ledger, TrialRecord
from xmrc.search.mining import largest_ntl
from xmrc.selection.champion import choose_winner
from xmrc.selection.confirmation import fresh_seeds, keep_median
from xmrc.selection.contender_tables import (
    contender_rows,
    contenders_table,
    differences_table,
)
from xmrc.selection.contenders import SEED, Contender, distinct, rank_contenders
from xmrc.selection.registration import description
from xmrc.settings import Study, load_study

Load = Callable[..., Study]
DEMO = (
    "settings={encoder: demo, base: null, start_from_base: false, "
    "data: {train: demo/train, select: demo/dev, limit: 4, max_length: 128, stride: 16}}"
)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    path = tmp_path / "few.yaml"
    path.write_text("name: few\nsettings: {training: {seed: 3}}\n")
    return lambda *overrides: load_study(path, overrides)


def trial(number: int, best: float | None, state: str = FINISHED, **values: Any) -> TrialRecord:
    settings = {key.replace("_", "."): value for key, value in values.items()}
    history = [] if best is None else [{"gxlt_f1": best, "xlt_em": best + 10}]
    return TrialRecord(f"t{number}", number, settings, 0.0, state, history=history, best=best)


def test_the_same_settings_are_confirmed_once() -> None:
    ranking = [
        trial(4, 60.0, data_ntl=2, training_seed=8),
        trial(1, 59.0, data_ntl=2, training_seed=9),
        trial(2, 58.0, data_ntl=3, training_seed=8),
        trial(3, 57.0, data_ntl=3),
    ]
    assert [record.number for record in distinct(ranking)] == [4, 2]


def test_seeds_are_fresh_and_follow_from_the_seed_of_the_search(load: Load) -> None:
    best = [trial(1, 60.0, data_ntl=2), trial(2, 59.0, data_ntl=1)]
    seeds = fresh_seeds(load(), best, 5)
    assert len(set(seeds)) == 5
    assert 3 not in seeds
    assert seeds == fresh_seeds(load(), best, 5)
    assert seeds != fresh_seeds(load("search.seed=1"), best, 5)
    assert fresh_seeds(load(), best, 3) == seeds[:3]
    # the very numbers that would be drawn are skipped where a trial had them already
    taken = [trial(1, 60.0, **{"training_seed": seeds[0]}), trial(2, 59.0)]
    assert seeds[0] not in fresh_seeds(load(), taken, 5)
    assert seeds[1] not in fresh_seeds(load(f"settings.training.seed={seeds[1]}"), best, 5)


def seed(number: int, best: float | None, ntl: int, state: str = FINISHED) -> TrialRecord:
    return trial(number, best, state, data_ntl=ntl, training_seed=100 + number)


BEST = [trial(5, 64.0, data_ntl=3), trial(2, 63.0, data_ntl=1)]
TRAINED = [
    seed(1, 50.0, 3), seed(2, 70.0, 3), seed(3, 54.0, 3), seed(4, 99.0, 3, FAILED),
    seed(5, 61.0, 1), seed(6, 59.0, 1), seed(7, 60.0, 1), seed(8, 90.0, 1, STOPPED),
]  # fmt: skip


def test_the_best_mean_wins_though_its_trial_came_second() -> None:
    first, second = rank_contenders(BEST, TRAINED)
    assert (first.trial.number, second.trial.number) == (2, 5)
    assert (first.mean, first.deviation) == (60.0, 1.0)
    assert second.mean == pytest.approx(58.0)
    assert second.deviation == pytest.approx(10.5830, abs=1e-4)
    assert (first.median.number, second.median.number) == (7, 3)


def test_a_trial_whose_seeds_all_failed_is_out_and_one_seed_has_no_spread() -> None:
    (only,) = rank_contenders(BEST, [seed(1, 50.0, 3), seed(2, None, 1, FAILED)])
    assert (only.trial.number, only.deviation, only.median.number) == (5, None, 1)
    assert rank_contenders(BEST, []) == []


def test_a_lucky_seed_whose_sisters_failed_does_not_win() -> None:
    lucky = [seed(9, 90.0, 1), *(seed(n, None, 1, FAILED) for n in (10, 11))]
    found = rank_contenders(BEST, [*TRAINED[:3], *lucky])
    assert [one.trial.number for one in found] == [5, 2]
    two_of_three = [*TRAINED[:3], *lucky[:2], seed(12, 80.0, 1)]
    assert [one.trial.number for one in rank_contenders(BEST, two_of_three)] == [2, 5]


def test_the_median_of_an_even_number_is_the_lower_one() -> None:
    (one,) = rank_contenders(BEST[:1], [seed(n, 50.0 + n, 3) for n in (4, 1, 3, 2)])
    assert one.scores == [51.0, 52.0, 53.0, 54.0]
    assert one.median.number == 2


def test_means_deviations_and_intervals_are_shown_and_written() -> None:
    found = rank_contenders(BEST, TRAINED)
    table = contenders_table(found, "gxlt_f1")
    rows = {(row[0], row[3]): row[4:] for row in table.texts}
    assert rows["2", "gxlt_f1"] == ["60.00", "1.00", "57.52 to 62.48"]  # 4.30265 / sqrt(3)
    assert rows["5", "gxlt_f1"][:2] == ["58.00", "10.58"]
    assert rows["2", "xlt_em"][0] == "70.00"
    assert table.texts[0][1] == "ntl=1"
    row = contender_rows(found, "gxlt_f1").frame.iloc[0]
    assert (row["gxlt_f1_mean"], row["gxlt_f1_sd"], row["gxlt_f1_search"]) == (60.0, 1.0, 63.0)
    assert (row["xlt_em_mean"], row["xlt_em_low"]) == (70.0, pytest.approx(67.515863))
    assert (row["trial"], row["seeds"], row["gxlt_f1_median"]) == (2, 3, 60.0)


def test_every_two_contenders_are_compared() -> None:
    table = differences_table(rank_contenders(BEST, TRAINED), "gxlt_f1")
    test = ttest_ind([59, 60, 61], [50, 54, 70], equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert table.frame.iloc[0].to_dict() == {
        "trial": 2, "less_trial": 5, "metric": "gxlt_f1", "difference": pytest.approx(2.0),
        "low": pytest.approx(low), "high": pytest.approx(high),
        "p": pytest.approx(test.pvalue), "p_holm": pytest.approx(test.pvalue),
    }  # fmt: skip
    p = f"{test.pvalue:.3f}"
    assert table.texts == [["2", "5", "+2.00 ", f"{low:+.2f} to {high:+.2f}", p, p]]


def test_one_seed_has_dashes_for_what_it_cannot_say() -> None:
    found = rank_contenders(BEST, [*TRAINED[:3], TRAINED[4]])
    assert contenders_table(found, "gxlt_f1").texts[-1][-2:] == ["–", "–"]
    assert differences_table(found, "gxlt_f1").texts == [["5", "2", "-3.00 ", "–", "–", "–"]]
    assert contender_rows(found, "gxlt_f1").frame["gxlt_f1_low"].isna().to_list() == [False, True]


def test_the_registry_says_how_a_version_was_chosen(load: Load) -> None:
    ledger = Ledger(Path("never written"), "gxlt_f1", {one.id: one for one in BEST})
    winner = choose_winner(ledger, rank_contenders(BEST, TRAINED))
    text = description(load(), winner, "mlqa/dev")
    assert "Trial 2 of study few: gxlt_f1 60.00 on mlqa/dev." in text
    assert "60.00 ± 1.00 over 3 fresh seeds" in text
    assert "seed 107" in text
    winner = choose_winner(ledger, [])
    assert (winner.trial, winner.reader) == (BEST[0], BEST[0])
    assert "Not confirmed" in description(load(), winner, "mlqa/dev")


def test_only_the_median_keeps_its_checkpoint(load: Load, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "confirm.json", "gxlt_f1")
    for number in (1, 2, 3):
        id = f"t{number}"
        ledger.propose(id, number, {"data.ntl": 3, SEED: number}, 0.0)
        folder = tmp_path / "confirm" / id / "checkpoint_000000"
        folder.mkdir(parents=True)
        ledger.evaluated(id, [{"gxlt_f1": 50.0 + number}], 1, 1.0)
        ledger.end(id, "", folder, 2.0)
    winner = Contender(BEST[0], tuple(reversed(ledger.ranking)))
    run = run_of(load(DEMO, "search.confirm={}"), tmp_path)
    keep_median(run, [winner])
    left = {path.parent.name for path in (tmp_path / "confirm").glob("*/checkpoint_*")}
    assert left == {"t2"}
    again = Ledger.open(tmp_path / "confirm.json", "gxlt_f1").trials
    assert [again[id].checkpoint is None for id in ("t1", "t2", "t3")] == [True, False, True]


def test_candidates_are_mined_for_all_pairs_where_seeds_differ(load: Load) -> None:
    one, several = load("settings.data.ntl=2"), load("settings.data.ntl=2", "search.confirm={}")
    assert largest_ntl(one, one.settings) == 2
    assert largest_ntl(several, several.settings) == len(several.settings.data.languages)


@pytest.mark.parametrize("confirm", ["{top: 0}", "{seeds: 0}", "{tops: 3}", "3"])
def test_bad_settings_are_named(load: Load, confirm: str) -> None:
    with pytest.raises(SettingsError, match=r"search\.confirm"):
        load(f"search.confirm={confirm}")

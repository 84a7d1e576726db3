"""What settings do to scores, against sums done by hand."""

import math

import pandas as pd
from study_folders import COEFFICIENT, NTL, RATE, TRIALS, VARIANT, trial

from xmrc.pages.effects import curve_effects, measures, pair_effects
from xmrc.pages.setting_pairs import varied_pairs
from xmrc.search.ledger import TrialRecord, best_evaluation
from xmrc.settings import Domain


def records(*trials):
    return [TrialRecord(**one) for one in trials]


def space(**domains):
    return {
        {"ntl": NTL, "rate": RATE, "coefficient": COEFFICIENT, "variant": VARIANT}[name]: (
            Domain.model_validate(domain)
        )
        for name, domain in domains.items()
    }


def every_pair(trials, domains):
    return pair_effects(trials, domains, "gxlt_f1", varied_pairs(trials, domains))


def test_what_is_measured_beside_a_metric():
    assert measures("gxlt_em") == {
        "gxlt_f1": "G-XLT F1",
        "gxlt_em": "G-XLT EM",
        "xlt_f1": "XLT F1",
        "xlt_em": "XLT EM",
    }
    assert list(measures("xlt_f1")) == ["xlt_f1", "xlt_em"]
    assert list(measures("gxlt_cross_f1"))[:2] == ["gxlt_cross_f1", "gxlt_cross_em"]


def test_of_equal_evaluations_the_later_counts():
    (record,) = records(trial(1, {}, [3.0, 5.0, 5.0, 4.0]))
    assert best_evaluation(record, "gxlt_f1")["evaluation"] == 3


def test_a_curve_is_the_mean_of_the_trials_that_ran_to_their_end():
    found = curve_effects(
        records(
            trial(1, {NTL: 1}, [10.0, 20.0]),
            trial(2, {NTL: 1}, [40.0]),
            trial(3, {NTL: 1}, [1.0], state="stopped"),
            trial(4, {NTL: 3}, [5.0], state="stopped"),
            trial(5, {NTL: 3}, [7.0], state="stopped"),
            trial(6, {NTL: 2}, [], state="failed"),
        ),
        space(ntl={"int": [1, 3]}),
        "gxlt_f1",
    )
    (effect,) = found
    assert [panel.title for panel in effect.panels] == [
        "G-XLT F1",
        "G-XLT EM",
        "XLT F1",
        "XLT EM",
    ]
    curve = effect.panels[0].curves[0]
    assert curve.line == [(1.0, 30.0), (3.0, 6.0)]
    assert sorted(curve.full) == [(1.0, 20.0), (1.0, 40.0)]
    assert sorted(curve.hollow) == [(1.0, 1.0), (3.0, 5.0), (3.0, 7.0)]
    assert effect.panels[1].curves[0].line == [(1.0, 25.0), (3.0, 1.0)]
    assert effect.x.marks == (1, 2, 3)


def test_many_values_are_averaged_with_their_neighbours():
    trials = [trial(n, {RATE: 10.0**-n}, [float(n)]) for n in range(1, 5)]
    (effect,) = curve_effects(records(*trials), space(rate={"log_float": [1e-5, 1]}), "gxlt_f1")
    (low, y_low), (high, y_high) = effect.panels[0].curves[0].line
    assert effect.x.log
    assert abs(low - 10**-3.5) < 1e-12  # the middle of two decades
    assert abs(high - 10**-1.5) < 1e-12
    assert (y_low, y_high) == (3.5, 1.5)


def test_a_setting_that_never_changed_has_no_curve():
    trials = records(trial(1, {NTL: 2}, [1.0]), trial(2, {NTL: 2}, [2.0]))
    assert curve_effects(trials, space(ntl={"int": [1, 3]}), "gxlt_f1") == []


def test_a_score_that_is_not_measured_has_no_panel():
    one, two = records(trial(1, {NTL: 1}, [1.0]), trial(2, {NTL: 2}, [2.0]))
    for record in (one, two):
        for evaluation in record.history:
            del evaluation["xlt_f1"], evaluation["xlt_em"]
    (effect,) = curve_effects([one, two], space(ntl={"int": [1, 3]}), "gxlt_f1")
    assert [panel.title for panel in effect.panels] == ["G-XLT F1", "G-XLT EM"]


def test_a_curve_for_each_choice():
    domains = space(ntl={"int": [1, 3]}, coefficient={"choice": [0.0, 1.0, "map"]})
    curves, cells, contours = every_pair(records(*TRIALS), domains)
    assert (cells, contours) == ([], [])
    (effect,) = curves
    assert (effect.keys, effect.names) == ((NTL, COEFFICIENT), "coefficient")
    lines = {curve.name: curve.line for curve in effect.panels[0].curves}
    assert lines == {"0.0": [(1.0, 30.0)], "1.0": [(3.0, 9.5)], "map": [(3.0, 42.0)]}


def test_cells_for_two_settings_of_few_values():
    trials = records(
        trial(1, {NTL: 1, COEFFICIENT: 0.5}, [10.0]),
        trial(2, {NTL: 1, COEFFICIENT: 0.5}, [20.0]),
        trial(3, {NTL: 2, COEFFICIENT: 2.0}, [30.0]),
        trial(4, {NTL: 2, COEFFICIENT: 2.0}, [1.0], state="stopped"),
        trial(5, {NTL: 1, COEFFICIENT: 2.0}, [4.0], state="stopped"),
    )
    domains = space(ntl={"int": [1, 2]}, coefficient={"choice": [0.5, 2.0]})
    curves, cells, contours = every_pair(trials, domains)
    assert (curves, contours) == ([], [])
    table = cells[0].panels[0]
    assert (table.column_label, table.row_label) == ("ntl", "coefficient")
    expected = pd.DataFrame([[15.0, math.nan], [4.0, 30.0]], ["0.5", "2.0"], ["1", "2"])
    pd.testing.assert_frame_equal(table.frame, expected, check_names=False)


def test_settings_of_many_values_and_conditions():
    domains = space(
        ntl={"int": [1, 3]},
        coefficient={"choice": [0.0, 1.0, "map"]},
        variant={"choice": ["first_hit", "average_precision"], "when": {COEFFICIENT: "map"}},
        rate={"log_float": [1e-4, 1e-2]},
    )
    curves, cells, contours = every_pair(records(*TRIALS), domains)
    assert [one.keys for one in curves] == [(NTL, COEFFICIENT), (RATE, COEFFICIENT)]
    assert cells == []  # the variant was drawn once
    assert contours == [(NTL, RATE)]


def test_a_choice_without_the_setting_is_a_level_line():
    trials = records(
        trial(1, {COEFFICIENT: 0.0}, [20.0]),
        trial(2, {COEFFICIENT: 0.0}, [30.0]),
        trial(3, {COEFFICIENT: 0.0}, [1.0], state="stopped"),
        trial(4, {COEFFICIENT: "map", NTL: 1}, [40.0]),
        trial(5, {COEFFICIENT: "map", NTL: 3}, [50.0]),
    )
    domains = space(
        coefficient={"choice": [0.0, "map"]}, ntl={"int": [1, 9], "when": {COEFFICIENT: "map"}}
    )
    ((effect,), _, _) = every_pair(trials, domains)
    level, curve = effect.panels[0].curves
    assert (level.name, level.line, level.dotted) == ("0.0", [(1.0, 25.0), (3.0, 25.0)], True)
    assert (curve.name, curve.line, curve.dotted) == ("map", [(1.0, 40.0), (3.0, 50.0)], False)

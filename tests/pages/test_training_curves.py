"""What trials report of their training."""

from study_folders import TRIALS, trial

from xmrc.pages.training_curves import curve_panels, weight_panel
from xmrc.search.ledger import TrialRecord


def records(*trials):
    return [TrialRecord(**one) for one in trials]


def test_a_panel_for_each_number_and_a_curve_for_each_trial_that_has_it():
    panels = curve_panels(records(*TRIALS[:3]))
    assert list(panels) == ["c_kl", "loss"]  # no scores, and no steps
    curves = {curve.name: curve.line for curve in panels["c_kl"].curves}
    assert curves == {"trial 2": [(1.0, 0.6), (2.0, 0.9)], "trial 3": [(1.0, 1.0)]}


def test_weights_are_those_of_the_best_that_has_them():
    plain = trial(1, {}, [9.0])
    few = trial(2, {}, [5.0, 6.0], w_1=[0.5, 0.7], w_2=[0.5, 0.3], w_entropy=[0.7, 0.6])
    panel = weight_panel(records(plain, few))
    assert panel.title == "w, trial 2"
    assert {curve.name: curve.line for curve in panel.curves} == {
        "w_1": [(1.0, 0.5), (2.0, 0.7)],
        "w_2": [(1.0, 0.5), (2.0, 0.3)],
    }
    assert list(curve_panels(records(plain, few))) == ["w_entropy"]
    assert weight_panel(records(plain)) is None


def test_many_weights_end_in_one_curve():
    weights = {f"w_{place}": [1 / 64] for place in range(1, 21)}
    panel = weight_panel(records(trial(1, {}, [9.0], **weights)))
    names = [curve.name for curve in panel.curves]
    assert names == ["w_1", "w_2", "w_3", "w_4", "w_5", "w_6", "w_7 to w_20"]
    assert panel.curves[-1].line == [(1.0, 14 / 64)]

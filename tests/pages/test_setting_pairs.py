"""Which pairs of settings a page draws: every two of few, the papers' and the important of many."""

from itertools import combinations
from pathlib import Path

import optuna
import pytest
from study_folders import study_folder, trial

from xmrc.pages.effects import pair_effects
from xmrc.pages.findings import read_findings
from xmrc.pages.search_sections import settings_section
from xmrc.pages.setting_pairs import MOST, choose_pairs, varied_pairs
from xmrc.search.ledger import TrialRecord
from xmrc.search.space import SearchSpace
from xmrc.settings import Domain, load_study, to_yaml

SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"
NTL, SPAN, SIZE = "data.ntl", "objective.span", "objective.candidates.size"
COEFFICIENT, TEMPERATURE, VARIANT = (
    f"objective.distill.{name}" for name in ("coefficient", "temperature", "variant")
)


def keys(count):
    return [f"key.{number}" for number in range(count)]


@pytest.mark.parametrize("count", range(6))
def test_every_two_of_few_settings_are_drawn(count):
    pairs = list(combinations(keys(count), 2))
    chosen = choose_pairs(pairs, keys(count), {})
    assert (chosen.drawn, chosen.left_out) == (pairs, [])


def test_of_many_those_of_the_most_important_settings_are_drawn():
    importance = {"key.7": 0.4, "key.2": 0.3, "key.5": 0.15, "key.0": 0.1, "key.3": 0.05}
    pairs = list(combinations(keys(9), 2))
    chosen = choose_pairs(pairs, keys(9), importance)
    important = {"key.7", "key.2", "key.5", "key.0", "key.3"}
    assert set(chosen.drawn) == {pair for pair in pairs if set(pair) <= important}
    assert len(chosen.drawn) == MOST
    assert sorted([*chosen.drawn, *chosen.left_out]) == pairs


def test_the_figures_of_the_papers_are_always_drawn():
    settings = [*keys(9), TEMPERATURE, SIZE, COEFFICIENT, NTL, SPAN]
    importance = dict.fromkeys(keys(9), 0.1)  # and none of those of the papers
    chosen = choose_pairs(list(combinations(settings, 2)), settings, importance)
    assert {(TEMPERATURE, NTL), (COEFFICIENT, NTL), (SIZE, SPAN)} <= set(chosen.drawn)
    assert len(chosen.drawn) == MOST


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("skd_figure_5", [{NTL, COEFFICIENT}]),
        ("skd_figure_6", [{NTL, TEMPERATURE}]),
        ("hl_aacl_figure_2", [{SPAN, SIZE}]),
    ],
)
def test_the_studies_of_the_papers_have_the_pictures_of_their_figures(name, pairs):
    study = load_study(SEARCH_SPACES / "paper" / f"{name}.yaml")
    space = SearchSpace(study.space)
    points = [space.values_of(point) for point in space.grid()]
    records = [TrialRecord(**trial(n, point, [float(n)])) for n, point in enumerate(points, 1)]
    chosen = choose_pairs(varied_pairs(records, study.space), list(study.space), {})
    curves, cells, contours = pair_effects(records, study.space, "gxlt_f1", chosen.drawn)
    assert [set(one.keys) for one in [*curves, *cells]] == pairs
    assert (chosen.left_out, contours) == ([], [])


def test_only_pairs_that_trials_have_varied_count():
    records = [TrialRecord(**trial(n, {NTL: n, SIZE: 5, SPAN: "hl"}, [1.0])) for n in (1, 2)]
    space = {
        NTL: Domain.model_validate({"int": [1, 6]}),
        SIZE: Domain.model_validate({"choice": [5, 10]}),
        SPAN: Domain.model_validate({"choice": ["ce", "hl"]}),
    }
    assert varied_pairs(records, space) == []


def test_a_page_of_many_settings_says_what_it_leaves_out(tmp_path):
    """A search of six settings of the joint study; the score is that of ntl and of span."""
    without = (SIZE, "objective.candidates.weights", "objective.contrast.negatives", VARIANT)
    overrides = [f"space.{key}=null" for key in without]
    study = load_study(SEARCH_SPACES / "joint.yaml", ["search.start_from=[]", *overrides])
    space, searched = SearchSpace(study.space), []
    sampler = optuna.samplers.RandomSampler(seed=2)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(1, 61):
        asked = search.ask()
        space(asked)
        values = space.values_of(asked.params)
        score = 5.0 * values[NTL] + 20 * (values[SPAN] == "hl") + number / 100
        searched.append(trial(number, values, [score]))
    folder = study_folder(tmp_path, study=to_yaml(study), trials=searched)
    section = settings_section(read_findings(folder), tmp_path / "report")

    drawn = {picture.path.stem for picture in section.pictures}
    assert set(study.space) <= drawn  # a curve of each setting
    assert len(drawn) <= len(study.space) + 2 * MOST
    assert {f"{NTL}-{SPAN}", f"{SPAN}-{NTL}"} & drawn
    assert section.words[-1].startswith(
        "Every setting has its curve. The 15 pairs of settings would be too many to look at: drawn "
        "are the 10 that figures of the papers show or that are of the most important settings"
    )
    ((title, names),) = section.folded.items()
    assert title == "The 5 pairs that are left out"
    assert len(names.splitlines()) == 5
    assert not {"ntl by span", "ntl by coefficient", "ntl by temperature"} & set(names.splitlines())

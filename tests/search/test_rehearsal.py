"""Any study can be tried out on the embedded corpus; a grid has each of its points once."""

from itertools import product
from pathlib import Path

import pytest

from xmrc.errors import SettingsError
from xmrc.search.corpora import study_corpora
from xmrc.search.rehearsal import rehearsal
from xmrc.search.space import SearchSpace, trial_count
from xmrc.settings import Study, load_study, to_yaml

FILES = sorted((Path(__file__).parents[2] / "search_spaces").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rehearsal_keeps_objective_and_space(path: Path) -> None:
    study = load_study(path, [])
    short = rehearsal(study)
    assert (short.settings.objective, short.space) == (study.settings.objective, study.space)
    assert (short.settings.encoder, short.settings.data.train) == ("demo", "demo/train")
    assert trial_count(short) <= 3
    assert short.tracking.register_as != study.tracking.register_as
    assert Study.model_validate(short.model_dump(mode="json")) == short
    assert len(short.tracking.watch) == len(study.tracking.watch)
    if short.tracking.watch:
        selected = {one.id for one in study_corpora(short).select.examples}
        assert selected.issuperset(short.tracking.watch)


def test_what_the_demo_fixes_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(
        """
name: wide
settings: {base: {corpus: squad/train}, data: {max_length: 384}}
space:
  data.max_length: {choice: [256, 384]}
  data.ntl: {choice: [1, 2], when: {data.max_length: 384, training.seed: 1}}
  training.seed: {choice: [1, 2]}
search: {start_from: [{data.max_length: 384, training.seed: 1, data.ntl: 2}]}
"""
    )
    short = rehearsal(load_study(path, []))
    assert {key: dict(domain.when) for key, domain in short.space.items()} == {
        "data.ntl": {"training.seed": (1,)},
        "training.seed": {},
    }
    assert short.search.start_from == ({"training.seed": 1, "data.ntl": 2},)
    (tmp_path / "short.yaml").write_text(to_yaml(short))
    assert load_study(tmp_path / "short.yaml", []) == short


def test_a_grid_is_the_product_of_its_values_where_conditions_hold(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        """
name: grid
settings:
  base: {corpus: squad/train}
  objective: {distill: {coefficient: 1.0}}
space:
  data.ntl: {int: [1, 3]}
  objective.distill.coefficient: {choice: [1.0, map]}
  objective.distill.k: {choice: [5, 10], when: {objective.distill.coefficient: map}}
search: {sampler: grid}
"""
    )
    study = load_study(path, [])
    points = SearchSpace(study.space).grid()
    plain = [(ntl, 1.0, None) for ntl in (1, 2, 3)]
    ranked = [(ntl, "map", k) for ntl, k in product((1, 2, 3), (5, 10))]
    names = ("data.ntl", "objective.distill.coefficient", "objective.distill.k")
    found = [tuple(point.get(name) for name in names) for point in points]
    assert sorted(found, key=str) == sorted(plain + ranked, key=str)
    assert trial_count(study) == 9
    assert trial_count(load_study(path, ["search.trials=4"])) == 4


def test_a_grid_of_uncountable_values_is_refused_by_key(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("name: g\nspace: {training.learning_rate: {float: [1e-5, 1e-3]}}\n")
    study = load_study(path, ["search.sampler=grid"])
    with pytest.raises(SettingsError, match=r"space.training.learning_rate: must be a choice or"):
        trial_count(study)

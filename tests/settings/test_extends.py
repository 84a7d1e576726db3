"""A study file that says only what differs from another."""

import pytest

from xmrc.errors import SettingsError
from xmrc.settings import load_study

PARENT = """
name: parent
settings:
  base: {corpus: squad/train, epochs: 4}
  data: {train: demo/train, select: demo/dev, languages: [en, es, de], ntl: 2}
  objective: {distill: {coefficient: 1.0, k: 7}}
space:
  data.ntl: {int: [1, 2]}
  training.learning_rate: {log_float: [1e-5, 1e-3]}
search: {trials: 9, keep: 5, start_from: [{data.ntl: 1}]}
expected: {gxlt_f1: 59.1}
"""


@pytest.fixture
def write(tmp_path):
    """Write files and give the path of the last."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name}.yaml"
            path.write_text(text)
        return path

    return write


def error_of(path, *overrides):
    with pytest.raises(SettingsError) as caught:
        load_study(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_says_only_what_differs(write):
    child = """
extends: parent.yaml
name: child
settings:
  base: {epochs: 1}
  data: {languages: [en, de]}
  objective: {distill: {k: 3}}
search: {keep: 2}
"""
    parent = load_study(write(parent=PARENT))
    study = load_study(write(parent=PARENT, child=child))
    assert (study.name, study.settings.base.corpus, study.settings.base.epochs) == (
        "child",
        "squad/train",
        1,
    )
    assert study.settings.data.languages == ("en", "de")  # a list is one value
    assert study.settings.data.ntl == 2
    assert (study.settings.objective.distill.coefficient, study.settings.objective.distill.k) == (
        1.0,
        3,
    )
    assert (study.search.trials, study.search.keep) == (9, 2)
    assert (study.space, study.expected) == (parent.space, parent.expected)
    assert study.search.start_from == parent.search.start_from


def test_a_space_of_its_own_replaces_the_space_and_its_points(write):
    child = "extends: parent.yaml\nname: child\nspace: {training.seed: {choice: [1, 2]}}\n"
    study = load_study(write(parent=PARENT, child=child))
    assert list(study.space) == ["training.seed"]
    assert study.search.start_from == ()
    assert study.search.trials == 9
    points = "search: {start_from: [{training.seed: 2}]}\n"
    study = load_study(write(parent=PARENT, child=child + points))
    assert study.search.start_from == ({"training.seed": 2},)


def test_what_a_paper_prints_is_replaced_whole(write):
    child = "extends: parent.yaml\nname: child\nexpected: {CE: {xlt_f1: 3}}\n"
    assert list(load_study(write(parent=PARENT, child=child)).expected) == ["CE"]
    child = "extends: parent.yaml\nname: child\nexpected: null\n"
    assert load_study(write(parent=PARENT, child=child)).expected == {}


def test_a_part_can_be_switched_off_and_on(write):
    off = "extends: parent.yaml\nname: off\nsettings: {objective: {distill: none}}\n"
    on = "extends: off.yaml\nname: on\nsettings: {objective: {distill: {temperature: 4.0}}}\n"
    files = {"parent": PARENT, "off": off}
    assert load_study(write(**files)).settings.objective.distill is None
    distill = load_study(write(**files, on=on)).settings.objective.distill
    assert (distill.temperature, distill.k) == (4.0, 10)  # nothing comes back from behind the off


def test_the_path_is_from_the_files_own_folder(tmp_path, monkeypatch):
    (tmp_path / "paper").mkdir()
    (tmp_path / "parent.yaml").write_text(PARENT)
    (tmp_path / "paper" / "child.yaml").write_text("extends: ../parent.yaml\nname: child\n")
    monkeypatch.chdir(tmp_path.parent)
    assert load_study(tmp_path / "paper" / "child.yaml").search.trials == 9


def test_overrides_come_last(write):
    child = "extends: parent.yaml\nname: child\nsettings: {data: {ntl: 1}}\n"
    path = write(parent=PARENT, child=child)
    study = load_study(path, ["settings.data.ntl=0", "space.data.ntl=null"])
    assert study.settings.data.ntl == 0
    assert list(study.space) == ["training.learning_rate"]
    assert error_of(path, "extends=other.yaml").startswith(
        "--set extends=other.yaml: extends is no"
    )


def test_a_broken_rule_is_blamed_on_the_file_that_wrote_it(write, tmp_path):
    child = "extends: parent.yaml\nname: child\nsettings: {training: {epochs: 2}}\n"
    broken = PARENT.replace("ntl: 2}", "ntl: -2}")
    said = error_of(write(parent=broken, child=child))
    assert said.startswith(
        f"{tmp_path}/parent.yaml: settings.data.ntl must be greater than or equal to 0, got -2"
    )
    said = error_of(write(parent=PARENT, child=child.replace("epochs: 2", "epochs: 0")))
    assert said.startswith(
        f"{tmp_path}/child.yaml: settings.training.epochs must be greater than or equal to 1"
    )
    said = error_of(write(parent=PARENT, child=child.replace("epochs", "epoch")))
    assert said.startswith(f"{tmp_path}/child.yaml: settings.training.epoch is no known key")
    said = error_of(write(parent=PARENT, child=f"{child}expected: {{gxlt_f9: 1}}\n"))
    assert said.startswith(f"{tmp_path}/child.yaml: expected.gxlt_f9 must be a metric")
    said = error_of(write(parent=PARENT, child=f"{child}space: {{data.ntl: {{}}}}\n"))
    assert said.startswith(f"{tmp_path}/child.yaml: space.data.ntl must have exactly one of int")
    said = error_of(write(parent=PARENT, child=f"{child}space: {{data.ntk: {{int: [1, 2]}}}}\n"))
    assert said.startswith(f"{tmp_path}/child.yaml: space.data.ntk is no known key")


def test_the_name_is_not_taken_over(write, tmp_path):
    said = error_of(write(parent=PARENT, child="extends: parent.yaml\n"))
    assert said == f"{tmp_path}/child.yaml: name is required"


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ("extends: nowhere.yaml", "child.yaml: extends: {}/nowhere.yaml: cannot be read: No such"),
        ("extends: [a, b]", "child.yaml: extends must be the path of a study file from this"),
        ("extends: ''", "child.yaml: extends must be the path of a study file from this"),
        (
            "extends: child.yaml",
            "child.yaml: extends goes round in a circle: {0}/child.yaml on {0}",
        ),
        (
            "extends: other.yaml",
            "other.yaml: extends goes round in a circle: {0}/child.yaml on {0}",
        ),
        ("extends: list.yaml", "list.yaml: must be a mapping of keys to values, got [1]"),
        ("extends: torn.yaml", "torn.yaml: is no YAML: "),
    ],
)
def test_what_cannot_be_extended(write, tmp_path, child, said):
    path = write(list="[1]\n", torn="{a: ", other="extends: ./child.yaml", child=f"{child}\n")
    assert error_of(path).startswith(f"{tmp_path}/{said.format(tmp_path)}")

"""Python that a study brings along: found, refused in one line, carried to other processes."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from xmrc.errors import SettingsError
from xmrc.settings import ObjectiveSettings, Study, load_study, to_yaml
from xmrc.settings.objective import span_losses, terms
from xmrc.settings.plugins import undone_on_error
from xmrc.settings.wording import keys_of

PLUGIN = Path(__file__).parents[1] / "plugins" / "my_losses.py"
FOCAL = """
from xmrc.learning.terms import SpanLoss, register_span_loss
from xmrc.settings.fields import Section


class {kind}Settings(Section):
    gamma: float = 2.0


@register_span_loss("{name}", {kind}Settings)
class {kind}(SpanLoss):
    def losses(self, log_prob_BZ, answers):
        return -((1 - log_prob_BZ[:, 0].exp()) ** self.settings.gamma) * log_prob_BZ[:, 0]
"""
OTHER_PROCESS = """
import pickle, sys
objective = pickle.loads(sys.stdin.buffer.read())
from xmrc.learning.terms import Objective
print(objective.section("{name}").gamma, type(Objective(objective).terms["span"]).__name__)
"""

Load = Callable[..., Study]


class _OverError(Exception):
    """The test is over."""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """No other test sees what plugins of this one have registered."""
    with suppress(_OverError), undone_on_error():
        yield
        raise _OverError


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A study with these plugins, and a span loss of one of them."""

    def load(plugins: str, span: str = "ce", **more: str) -> Study:
        path = tmp_path / "study.yaml"
        lines = ["name: few", f"plugins: {plugins}", f"settings: {{objective: {{span: {span}}}}}"]
        path.write_text("\n".join([*lines, *(f"{k}: {v}" for k, v in more.items())]))
        return load_study(path)

    return load


def write_plugin(folder: Path, name: str, text: str = "") -> Path:
    path = folder / f"{name}.py"
    path.write_text(text or FOCAL.format(kind=name.title(), name=name))
    return path


def test_a_file_beside_the_study_brings_a_loss_and_its_settings(load: Load, tmp_path: Path) -> None:
    write_plugin(tmp_path, "focal_one")
    study = load(
        "[focal_one.py]", "focal_one", space="{objective.focal_one.gamma: {float: [0, 4]}}"
    )
    assert study.settings.objective.section("focal_one").gamma == 2.0
    assert study.plugins == (str(tmp_path / "focal_one.py"),)
    assert study.settings.objective.formula == "focal_one"


def test_its_own_settings_are_checked_like_any_other(load: Load, tmp_path: Path) -> None:
    write_plugin(tmp_path, "focal_two")
    with pytest.raises(SettingsError, match=r"focal_two\.gamma"):
        load("[focal_two.py]", "focal_two, focal_two: {gamma: much}")
    with pytest.raises(SettingsError, match=r"focal_two\.gama is no known key; did you mean"):
        load("[focal_two.py]", "focal_two, focal_two: {gama: 1.0}")
    with pytest.raises(SettingsError, match=r"changes nothing unless objective\.span can be focal"):
        load("[focal_two.py]", "ce", space="{objective.focal_two.gamma: {float: [0, 4]}}")


def test_a_study_that_was_written_down_is_read_again_from_anywhere(
    load: Load, tmp_path: Path
) -> None:
    write_plugin(tmp_path, "focal_three")
    study = load("[focal_three.py]", "focal_three")
    other = tmp_path / "elsewhere" / "study.yaml"
    other.parent.mkdir()
    other.write_text(to_yaml(study))
    assert load_study(other) == study


def test_a_term_counts_what_its_section_says(load: Load) -> None:
    study = load(f"[{PLUGIN}]", "focal, confidence: {weight: 0.25}")
    objective = study.settings.objective
    assert objective.terms_on == {"confidence": 0.25}
    assert objective.formula == "focal + 0.25 confidence"
    assert {"focal"} <= set(span_losses())
    assert {"confidence"} <= set(terms())


def test_focal_loss_without_focus_is_cross_entropy(load: Load) -> None:
    load(f"[{PLUGIN}]", "focal")
    log_prob_BZ = torch.tensor([[-1.0], [-0.2]])
    focal = span_losses()["focal"](ObjectiveSettings.model_validate({"focal": {"gamma": 0.0}}), ())
    cross_entropy = span_losses()["ce"](ObjectiveSettings(), ())
    expected = cross_entropy.losses(log_prob_BZ, None)
    torch.testing.assert_close(focal.losses(log_prob_BZ, None), expected)


def test_another_process_gets_the_text_along_with_the_settings(load: Load, tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, "focal_four")
    objective = load("[focal_four.py]", "focal_four").settings.objective
    plugin.unlink()  # as on a machine that does not have the file
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS.format(name="focal_four")],
        input=pickle.dumps(objective),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.decode().split() == ["2.0", "Focal_Four"], done.stderr.decode()
    assert pickle.loads(pickle.dumps(objective)) == objective


def test_a_module_that_is_installed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path, "focal_five")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("[focal_five]", "focal_five").plugins == ("focal_five",)


def test_the_entry_points_of_what_is_installed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path, "focal_six")
    about = tmp_path / "focal_six-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: focal-six\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[xmrc.plugins]\nfocal = focal_six\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("[]", "focal_six").settings.objective.span == "focal_six"


BROKEN = {
    "absent": ("", "must be a file of Python: No such file or directory"),
    "syntax": ("x = 1\ndef f(:\n", "cannot be loaded, line 2: SyntaxError: invalid syntax"),
    "name": ("import torch\n\ntorch.nothing\n", "cannot be loaded, line 3: AttributeError: "),
    "exits": ("raise SystemExit(3)\n", "cannot be loaded, line 1: SystemExit: 3"),
    "taken": (FOCAL.format(kind="Mine", name="ce"), "must not register the span loss ce: xmrc has"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_one_line_with_file_and_cause(
    case: str, load: Load, tmp_path: Path
) -> None:
    text, cause = BROKEN[case]
    path = tmp_path / f"{case}.py"
    if text:
        path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(f"[{case}.py]")
    assert str(caught.value).startswith(f"plugins: {path} {cause}")
    assert "\n" not in str(caught.value)


def test_of_a_plugin_that_fails_nothing_is_left(load: Load, tmp_path: Path) -> None:
    before, keys = span_losses(), keys_of(ObjectiveSettings)
    write_plugin(tmp_path, "half", FOCAL.format(kind="Half", name="half") + "\n1 / 0\n")
    with pytest.raises(SettingsError, match="ZeroDivisionError"):
        load("[half.py]")
    assert (span_losses(), keys_of(ObjectiveSettings)) == (before, keys)
    assert load("[]").settings.objective == ObjectiveSettings()


def test_a_module_that_is_not_there(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load("[no.such.thing]")
    assert str(caught.value) == (
        "plugins: no.such.thing must be a file ending in .py or a module that can be imported"
    )


def test_plugins_must_be_a_list_of_names(load: Load) -> None:
    for wrong in ("{a: 1}", "[1]", "[a.py, a.py]"):
        with pytest.raises(SettingsError, match="plugins"):
            load(wrong)


def test_a_plugin_with_another_text_takes_its_own_place(load: Load, tmp_path: Path) -> None:
    """As in a notebook, where a file is changed and the study loaded again."""
    plugin = write_plugin(tmp_path, "focal_seven")
    load("[focal_seven.py]", "focal_seven")
    plugin.write_text(plugin.read_text().replace("gamma: float = 2.0", "gamma: float = 3.0"))
    assert (
        load("[focal_seven.py]", "focal_seven").settings.objective.section("focal_seven").gamma == 3
    )


def test_a_name_that_nothing_registers_is_refused() -> None:
    with pytest.raises(ValidationError, match="'ce', 'mml'"):
        ObjectiveSettings(span="focal_zero")

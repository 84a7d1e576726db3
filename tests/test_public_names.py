"""What the package and its rooms give out: every name is there, and importing it costs nothing."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import xmrc

ROOMS = ("data", "scoring", "learning", "tracking", "search", "selection", "pages")
PACKAGES = ["xmrc", "xmrc.settings", "xmrc.learning.terms", *(f"xmrc.{room}" for room in ROOMS)]
HEAVY = {"torch", "ray", "pandas", "mlflow", "pydantic", "transformers", "matplotlib", "optuna"}


def imported_by(statement: str) -> set[str]:
    """The heavy libraries that a new process has loaded after the statement."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_that_of_a_module(package: str) -> None:
    """Which of them one gets would depend on what was imported before."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    modules = {path.stem for path in Path(module.__file__).parent.glob("*.py")}
    assert not modules & set(module.__all__)


def test_the_package_and_its_rooms_cost_nothing() -> None:
    assert imported_by("\n".join(f"import xmrc.{room}" for room in ROOMS)) == set()


def test_settings_take_no_more_than_their_checks() -> None:
    assert imported_by("from xmrc import Study") == {"pydantic"}


def test_what_nobody_gives_out() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Redaer'"):
        exec("from xmrc import Redaer")
    with pytest.raises(AttributeError, match="module 'xmrc' has no attribute 'redaer'"):
        getattr(xmrc, "redaer")  # noqa: B009 - a name that mypy has never heard of

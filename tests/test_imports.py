"""Which module may import what: libraries in their rooms, packages from left to right.

In: the source files, read with `ast` so that imports inside functions count too; and a process that
has none of the libraries which only a search, a command or a drawing needs.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import xmrc

ROOT = Path(xmrc.__file__).parent
LEFT_TO_RIGHT = [  # each imports from those before it, and from itself
    "_lazy",
    "errors",
    "credentials",
    "files",
    "seals",
    "tables",
    "settings",
    "data",
    "scoring",
    "learning",
    "tracking",
    "search",
    "selection",
    "pages",
    "study",
    "command",
]
ROOMS = {  # where a library, or a part of one, may be imported: folders, files
    "ray.train": ("learning/meeting.py", "learning/worker.py"),
    "ray.tune": ("search/",),
    "ray": ("learning/meeting.py", "learning/worker.py", "search/"),
    "optuna": ("search/", "pages/optuna_charts.py"),
    "mlflow": ("tracking/",),
    "datasets": ("data/hub.py",),
    "matplotlib": ("pages/",),
    "jinja2": ("tables.py", "pages/"),
}
ABSENT = ("ray", "optuna", "mlflow", "datasets", "matplotlib", "rich", "jinja2")
BARE_PROCESS = """
import importlib, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.split(".")[0] in {absent!r}
        return None if absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
for name in {names!r}:
    importlib.import_module(name)
"""


@cache
def modules() -> dict[str, Path]:
    """Dotted names of all modules of the package."""
    files = sorted(ROOT.rglob("*.py"))
    parts = [path.relative_to(ROOT.parent).with_suffix("").parts for path in files]
    names = [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]
    return dict(zip(names, files, strict=True))


@cache
def imports_of(module: str) -> tuple[str, ...]:
    """All that a module imports, wherever in it, as dotted names."""
    return tuple(_imports(ast.parse(modules()[module].read_text())))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module: str) -> set[str]:
    """Those of our own modules that a module imports."""
    found = set()
    for name in imports_of(module):
        while name not in modules() and "." in name:
            name = name.rpartition(".")[0]  # a name out of a module
        if name in modules():
            found.add(name)
    return found - {module}


def package_of(module: str) -> str:
    """The part of the house: a folder or a file of it; all commands are one part."""
    part = module.split(".")[1]
    return part if part in LEFT_TO_RIGHT else "commands"


def line_of(package: str) -> int:
    known = package in LEFT_TO_RIGHT
    return LEFT_TO_RIGHT.index(package) if known else len(LEFT_TO_RIGHT)


def test_the_parts_of_the_house_are_there() -> None:
    found = {package_of(module) for module in modules() if module != "xmrc"}
    assert set(LEFT_TO_RIGHT) <= found


@pytest.mark.parametrize("module", sorted(modules().keys() - {"xmrc"}))
def test_a_module_imports_only_from_its_left(module: str) -> None:
    own = package_of(module)
    for name in imported_modules(module) - {"xmrc"}:
        package = package_of(name)
        assert package == own or line_of(package) < line_of(own), f"{module} imports {name}"


def test_no_imports_go_in_a_circle() -> None:
    """Also not by way of an import inside a function."""
    graph = {module: imported_modules(module) - {"xmrc"} for module in modules()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph) - 1


@pytest.mark.parametrize("library", sorted(ROOMS))
def test_a_library_lives_in_its_rooms(library: str) -> None:
    users = {
        modules()[module].relative_to(ROOT).as_posix()
        for module in modules()
        if any(f"{name}.".startswith(f"{library}.") for name in imports_of(module))
    }
    assert users, "the room is empty"
    assert [path for path in sorted(users) if not path.startswith(ROOMS[library])] == []


def test_data_scoring_and_learning_need_no_library_of_the_search() -> None:
    """All but the workers of Ray Train; as on a machine where these libraries are not installed."""
    bare = {
        "errors",
        "credentials",
        "files",
        "seals",
        "tables",
        "settings",
        "data",
        "scoring",
        "learning",
    }
    names = [module for module in modules() if module != "xmrc" and package_of(module) in bare]
    for of_ray_train in ("xmrc.learning.meeting", "xmrc.learning.worker"):
        names.remove(of_ray_train)
    assert len(names) > 30
    script = BARE_PROCESS.format(absent=ABSENT, names=sorted(names))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", ABSENT)
def test_the_bare_process_really_lacks_them(library: str) -> None:
    script = BARE_PROCESS.format(absent=ABSENT, names=[library])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"No module named '{library}'" in done.stderr

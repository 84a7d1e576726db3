"""One name, one meaning: what is defined where in the package, read with `ast`.

A public name is a function, class or constant at the top of a module that does not begin with an
underscore.
"""

import ast
import importlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

import xmrc

ROOT = Path(xmrc.__file__).parent
FOLDERS = [ROOT, *(ROOT.parent / name for name in ("tests", "benchmarks"))]
OF_EVERY_COMMAND = {"main"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public_names(module: Path) -> set[str]:
    names = chain.from_iterable(map(defined_by, tree_of(module).body))
    return {name for name in names if not name.startswith("_")} - OF_EVERY_COMMAND


def defined_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


@cache
def homes() -> dict[str, list[Path]]:
    """The modules that define each public name."""
    found = defaultdict(list)
    for module in sorted(ROOT.rglob("*.py")):
        for name in public_names(module):
            found[name].append(module)
    return found


def test_a_public_name_is_defined_once() -> None:
    assert len(homes()) > 400
    several = {name: paths for name, paths in homes().items() if len(paths) > 1}
    assert several == {}


def used_by(path: Path) -> Iterator[str]:
    """What a file takes from others: names that it imports, attributes that it reads."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr


@cache
def given_out() -> set[str]:
    """What rooms name in `__all__`, for those who use xmrc as a library."""
    folders = [path.parent.relative_to(ROOT.parent) for path in ROOT.rglob("__init__.py")]
    rooms = [importlib.import_module(".".join(folder.parts)) for folder in folders]
    return {name for room in rooms for name in getattr(room, "__all__", ())}


def test_a_name_that_no_other_module_uses_is_private() -> None:
    users = defaultdict(set)
    for path in chain.from_iterable(folder.rglob("*.py") for folder in FOLDERS):
        for name in used_by(path):
            users[name].add(path)
    lonely = {
        name: path.relative_to(ROOT).as_posix()
        for name, (path, *_) in homes().items()
        if users[name] <= {path} and name not in given_out()
    }
    assert lonely == {}


def root_of(module: str) -> str:
    """What is left of a word without its ending: `trial` of `trials`, `promot` of `promotion`."""
    return re.sub(r"(?<=...)(?:ation|ion|ing|ers|er|ed|es|s|e)$", "", module)


@pytest.mark.parametrize(
    ("one", "other"),
    [("trial", "trials"), ("confirm", "confirmed"), ("tune", "tuning"), ("promote", "promotion"),
     ("objective", "objectives"), ("confirm", "confirmation"), ("reader", "readers")],
)  # fmt: skip
def test_which_modules_are_twins(one: str, other: str) -> None:
    assert root_of(one) == root_of(other)


def test_no_folder_has_twins() -> None:
    for folder in {path.parent for path in ROOT.rglob("*.py")}:
        modules = {path.stem for path in folder.glob("*.py")}
        rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
        roots = Counter(map(root_of, modules | rooms))
        assert {root: count for root, count in roots.items() if count > 1} == {}, folder

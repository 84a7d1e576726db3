"""One name, one meaning: what is defined where in the package, read with `ast`.

A public name is a function, class or constant at the top of a module that does not begin with an
underscore.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import xmrc

ROOT = Path(xmrc.__file__).parent
OF_EVERY_COMMAND = {"main"}


def public_names(module: Path) -> Iterator[str]:
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        yield from (name for name in defined_by(node) if not name.startswith("_"))


def defined_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def test_a_public_name_is_defined_once() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module in sorted(ROOT.rglob("*.py")):
        for name in set(public_names(module)) - OF_EVERY_COMMAND:
            homes[name].append(module.relative_to(ROOT).as_posix())
    assert len(homes) > 400
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}

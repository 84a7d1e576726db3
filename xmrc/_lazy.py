"""What a package gives out, imported when it is first asked for. In: its names and their modules.

Out: the package's `__getattr__` and `__dir__` (PEP 562), so that importing it costs nothing.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """For `__getattr__, __dir__ = lazy_names(__name__, {"Reader": "xmrc.learning.reader"})`."""

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, names

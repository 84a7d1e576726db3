"""Python that a study brings along. In: files, modules. Out: what they register, in any process.

    plugins: [my_losses.py, some.package]     # at the top of a study file; paths are relative to it

An installed package may name modules in the entry-point group `xmrc.plugins`, which are loaded for
every study. The terms of the loss that xmrc itself has are loaded in the same way, so that settings
know them without importing what computes them. The text of a file travels with the study: a worker
on another machine needs no copy of it.
"""

import hashlib
import importlib
import importlib.metadata
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from xmrc.errors import SettingsError, XmrcError

_BUILT_IN = "xmrc.learning.terms"
_ENTRY_POINTS = "xmrc.plugins"


@dataclass(frozen=True)
class Plugin:
    """A module to load: an installed one, or the text of a file."""

    name: str  # as the user wrote it, a file with its whole path
    module: str
    text: str | None = None  # of a file


_Undo = Callable[[], None]

_loaded: dict[str, Plugin] = {}  # by module
_loading: list[Plugin] = []  # at most one
_registries: list[Callable[[], _Undo]] = []  # each gives what puts it back as it is


def load_plugins(names: Sequence[str] = ()) -> None:
    """Load what is built in, what is installed for xmrc, and files or modules by their names.

    What is loaded already stays. Raises SettingsError (the plugin, the cause): it is not there, or
    raises an error while it is loaded.
    """
    _load_built_in()
    for entry in importlib.metadata.entry_points(group=_ENTRY_POINTS):
        install_plugin(Plugin(entry.value, entry.module))
    for name in names:
        install_plugin(_plugin_of_file(Path(name)) if is_file(name) else Plugin(name, name))


def _load_built_in() -> None:
    """Load the terms that xmrc itself has."""
    importlib.import_module(_BUILT_IN)


def loaded_plugins() -> tuple[Plugin, ...]:
    """What has been loaded besides what is built in: what another process must load, too."""
    return tuple(_loaded.values())


def loading_plugin() -> str:
    """The name of the plugin that is being loaded just now; empty for what is built in."""
    return _loading[-1].name if _loading else ""


def undoable(registry: Callable[[], _Undo]) -> None:
    """A registry that plugins write into: what this gives when called puts it back as it is."""
    _registries.append(registry)


@contextmanager
def undone_on_error() -> Iterator[None]:
    """If the block fails, nothing of what plugins have registered in it is left."""
    loaded, undo = dict(_loaded), [registry() for registry in _registries]
    try:
        yield
    except BaseException:
        _loaded.clear()
        _loaded.update(loaded)
        for each in undo:
            each()
        raise


def is_file(name: str) -> bool:
    """Whether a name in `plugins` is the path of a file."""
    return name.endswith(".py") or os.sep in name


def install_plugin(plugin: Plugin) -> None:
    """Load one plugin, once in a process. SettingsError as in `load_plugins`."""
    _load_built_in()
    if plugin.module in _loaded:
        return
    _loading.append(plugin)
    try:
        with undone_on_error():
            if plugin.text is None:
                importlib.import_module(plugin.module)
            else:
                _run_file(plugin, plugin.text)
    except (Exception, SystemExit) as error:
        sys.modules.pop(plugin.module, None)
        raise SettingsError(f"plugins: {plugin.name} {_cause(plugin, error)}") from error
    finally:
        _loading.pop()
    _loaded[plugin.module] = plugin


def _plugin_of_file(path: Path) -> Plugin:
    """A file under a module name that is the same wherever its text is."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.reason
        raise SettingsError(f"plugins: {path} must be a file of Python: {reason}") from error
    digest = hashlib.sha256(f"{path}\n{text}".encode()).hexdigest()[:8]
    return Plugin(str(path), f"xmrc_plugin_{path.stem}_{digest}", text)


def _run_file(plugin: Plugin, text: str) -> None:
    module = ModuleType(plugin.module)
    module.__file__ = plugin.name
    # Known before it runs, as what it defines is pickled and described by the name of its module.
    sys.modules[plugin.module] = module
    linecache.cache[plugin.name] = len(text), None, text.splitlines(keepends=True), plugin.name
    exec(compile(text, plugin.name, "exec"), module.__dict__)


def _cause(plugin: Plugin, error: BaseException) -> str:
    """What went wrong, with the line of the plugin where it did."""
    if isinstance(error, XmrcError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == plugin.module.split(".")[0]:
        return "must be a file ending in .py or a module that can be imported"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of(plugin, frame)]
    line = error.lineno if isinstance(error, SyntaxError) else own[-1].lineno if own else None
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"cannot be loaded{f', line {line}' if line else ''}: {type(error).__name__}: {said}"


def _is_of(plugin: Plugin, frame: traceback.FrameSummary) -> bool:
    module = sys.modules.get(plugin.module)
    return frame.filename in (plugin.name, getattr(module, "__file__", None))

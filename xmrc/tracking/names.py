"""Keys and values as every MLflow server takes them.

In: any key, any value of a settings file. Out: text that MLflow neither refuses nor cuts silently.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping

_LONGEST_KEY = 250  # characters
LONGEST_VALUE = 500  # characters; older servers take no more, and longer ones make no table


def key_of(name: str) -> str:
    """The name itself where MLflow allows it, else its legal characters and a hash of all."""
    legal = re.sub(r"[^\w.\-/ ]", "_", name)[: _LONGEST_KEY - 9].strip("/")
    legal = posixpath.normpath(legal).lstrip("./") or "_"
    return name if legal == name else f"{legal}-{_hash(name)}"


def value_of(value: object) -> str:
    """Text as it is, anything else as JSON; what is too long is cut and says so."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= LONGEST_VALUE:
        return text
    note = f"... ({len(text)} characters, {_hash(text)})"
    return text[: LONGEST_VALUE - len(note)] + note


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Parameters or tags as MLflow takes them."""
    return {key_of(key): value_of(value) for key, value in values.items()}


def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics as MLflow takes them; None is one that does not apply and is left out."""
    return {key_of(key): float(value) for key, value in values.items() if value is not None}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]

"""Secrets of tracking URIs. In: URIs and arguments as users write them. Out: the same without
user names, passwords and query strings, which stay in this process's memory and environment.

A password may hold any character, also where it should have been quoted: what is shown of a URI is
what surely is none of it.
"""

import base64
import html
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote

FROM_ENVIRONMENT = "MLFLOW_TRACKING_URI"
_HANDED_ON = "XMRC_TRACKING_URI"  # from this process's arguments to itself, started again
_SHORTEST = 4  # characters of a secret that is looked for outside of URIs, too

_URI = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<rest>.*)", re.DOTALL)
_HOST = r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
_DATABASE = re.compile(  # the query may hold an @, as the password may
    rf"(?:(?P<login>.*?)@)?(?P<address>(?:{_HOST})?(?:/[^?@]*)?)(?P<query>\?\w+=.*)?", re.DOTALL
)
_NO_LOGIN = re.compile(rf"(?P<address>(?:{_HOST})?(?:/[^?@]*)?)(?P<query>\?\w+=.*)?", re.DOTALL)
_SECRET_VALUE = re.compile(r"\w*(?:pass|pwd|key|token|secret)\w*=([^&]*)", re.IGNORECASE)
_ARGUMENT = re.compile(
    r"(?P<head>(?:--[\w-]+=)?(?:\s*tracking\s*\.\s*uri\s*=)?\s*)(?P<mark>['\"]?)"
    r"(?P<uri>(?:https?|postgresql|mysql|mssql|sqlite)[\w+]*://.*?)(?P=mark)\s*",
    re.DOTALL,
)

_whole: dict[str, "_Parts"] = {}  # by what is shown of it
_secrets: set[str] = set()


@dataclass(frozen=True)
class _Parts:
    """A URI in pieces; `login` is None where it names no user."""

    scheme: str
    login: str | None
    address: str
    query: str = ""

    @property
    def user(self) -> str:
        return _decoded((self.login or "").partition(":")[0])

    @property
    def password(self) -> str:
        return _decoded((self.login or "").partition(":")[2])

    @property
    def shown(self) -> str:
        known = self.scheme in ("", "file://") or self.scheme.startswith("sqlite")
        known = known or bool(_NO_LOGIN.fullmatch(self.address))
        return self.scheme + (self.address if known else "...")

    @property
    def spelled(self) -> str:
        """The whole of it as a URI must be written."""
        if self.login is None:
            return f"{self.scheme}{self.address}{self.query}"
        password = f":{quote(self.password, safe='')}" if ":" in self.login else ""
        return f"{self.scheme}{quote(self.user, safe='')}{password}@{self.address}{self.query}"


def shown_uri(uri: str) -> str:
    """A tracking URI without user, password and query; these are remembered for `whole_uri`."""
    parts = _parts(uri)
    if parts.shown != uri:
        _whole[parts.shown] = parts
        _secrets.update(_spellings(parts))
    return parts.shown


def whole_uri(shown: str) -> str:
    """The URI that `shown` stands for, as it was given, else as the environment has it."""
    parts = _known(shown)
    return shown if parts is None else parts.spelled


def login_of(shown: str) -> tuple[str, str]:
    """User name and password for the URI that `shown` stands for; empty where there is none."""
    parts = _known(shown)
    return ("", "") if parts is None else (parts.user, parts.password)


def without_secrets(text: str) -> str:
    """Any text for people, with `***` in place of what is secret."""
    _read_environment()
    alone = {os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("PASSWORD", "TOKEN")}
    for secret in sorted(_secrets | alone, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return re.sub(r"://[^\s'\"/@]*(:[^\s'\"@]*)?@", "://", text)


def kept_argument(word: str) -> str:
    """`tracking.uri=URI` and the like without what is secret, which is remembered; else `word`."""
    found = _ARGUMENT.fullmatch(word)
    return word if found is None else f"{found['head']}{shown_uri(found['uri'])}"


def shown_argument(word: str) -> str:
    """An argument of a command as it may be shown and written down."""
    return without_secrets(kept_argument(word))


def hide_arguments() -> None:
    """Start this process again where its arguments hold a password; others read them, as Ray does.

    The number of the process stays; the password is in its environment then.
    """
    words = [kept_argument(word) for word in sys.orig_argv]
    given = [found["uri"] for word in sys.orig_argv if (found := _ARGUMENT.fullmatch(word))]
    secret = [uri for uri in given if shown_uri(uri) != uri]
    if secret:
        os.environ[_HANDED_ON] = secret[-1]
        os.execv(sys.executable, words)


def _known(shown: str) -> _Parts | None:
    if shown not in _whole:
        _read_environment()
    return _whole.get(shown)


def _read_environment() -> None:
    for name in (_HANDED_ON, FROM_ENVIRONMENT):
        shown_uri(os.environ.get(name, ""))


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # a percent sign that stands for itself
        return text


def _parts(uri: str) -> _Parts:
    uri_match = _URI.fullmatch(uri)
    if uri_match is None:
        return _Parts("", None, uri)
    scheme, rest = uri_match["scheme"], uri_match["rest"]
    if scheme.startswith(("http:", "https:")):
        login, at, address = rest.rpartition("@")
        address, mark, query = address.partition("?")
        return _Parts(scheme, login if at else None, address, mark + query)
    if scheme.startswith(("file:", "sqlite")):
        return _Parts(scheme, None, rest)
    named = _NO_LOGIN.fullmatch(rest) or _DATABASE.fullmatch(rest)
    if named is None:
        return _Parts(scheme, None, rest)
    found = named.groupdict()
    return _Parts(scheme, found.get("login"), found["address"], found["query"] or "")


def _spellings(parts: _Parts) -> Iterator[str]:
    """What libraries make of a login in their messages."""
    login = parts.login or ""
    raw = [login.partition(":")[2], *_SECRET_VALUE.findall(parts.query)]
    for secret in dict.fromkeys((*raw, *map(_decoded, raw))):
        yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
        yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret))
        yield from (json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("'", "''"))
    if login:
        yield from (login, f"{parts.user}:{parts.password}")
        yield base64.b64encode(f"{parts.user}:{parts.password}".encode()).decode()

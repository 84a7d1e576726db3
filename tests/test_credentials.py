import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from awkward_passwords import AWKWARD, shows
from sqlalchemy import make_url

from xmrc import credentials
from xmrc.credentials import (
    kept_argument,
    login_of,
    shown_argument,
    shown_uri,
    whole_uri,
    without_secrets,
)
from xmrc.errors import SettingsError
from xmrc.settings import load_study, to_yaml

FORMS = {
    "http://me:{}@host:5000/path": "http://host:5000/path",
    "https://me:{}@[::1]:5000": "https://[::1]:5000",
    "postgresql://me:{}@host:5432/db?sslmode=require": "postgresql://host:5432/db",
    "mysql+pymysql://me:{}@host/db": "mysql+pymysql://host/db",
}


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have told is not known here."""
    monkeypatch.setattr(credentials, "_whole", {})
    monkeypatch.setattr(credentials, "_secrets", set())
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.parametrize("password", AWKWARD)
@pytest.mark.parametrize("form", FORMS)
def test_any_password_is_understood_and_not_shown(form: str, password: str) -> None:
    for spelled in (password, quote(password, safe="")):
        uri = form.format(spelled)
        shown = shown_uri(uri)
        assert shown == FORMS[form]
        assert login_of(shown) == ("me", password)
        assert make_url(whole_uri(shown)).password == password
        assert shown_uri(whole_uri(shown)) == shown
        assert not shows(without_secrets(f"x {uri} y"), password)
        assert not shows(without_secrets(f"could not log in as me with {password}"), password)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////home/me@work/a.db", "sqlite:////home/me@work/a.db"),
        ("sqlite:///a.db?mode=ro", "sqlite:///a.db?mode=ro"),
        ("./mlruns", "./mlruns"),
        ("http://host:5000", "http://host:5000"),
        ("http://token@host", "http://host"),
        ("postgresql://host/db?password=a@b", "postgresql://host/db"),
        ("postgresql://u:p@host/db?password=a@b", "postgresql://host/db"),
        ("http://me:pa", "http://..."),  # the rest of it was a comment, say
    ],
)
def test_what_is_shown_of_other_uris(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


def test_texts_with_uris_that_nobody_told_of() -> None:
    clean = without_secrets("to http://t@h failed, https://u:v@k too; sqlite:////a@b is it? yes")
    assert clean == "to http://h failed, https://k too; sqlite:////a@b is it? yes"


def test_the_environment_has_the_login_of_the_same_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:p@ss word@host:5000")
    assert login_of("http://host:5000") == ("me", "p@ss word")
    assert login_of("http://other:5000") == ("", "")
    assert without_secrets("with p@ss word") == "with ***"


@pytest.mark.parametrize("password", AWKWARD)
def test_arguments_lose_their_password(password: str) -> None:
    uri = f"http://me:{password}@host/x"
    for head in ("tracking.uri=", "--set=tracking.uri=", "--tracking-uri=", ""):
        assert shown_argument(f"{head}{uri}") == kept_argument(f"{head}{uri}")
        assert kept_argument(f"{head}{uri}") == f"{head}http://host/x"
    assert not shows(shown_argument(f"anything with {password}"), password)
    assert kept_argument("search.trials=3") == "search.trials=3"


@pytest.mark.parametrize("password", AWKWARD)
def test_a_study_is_written_without_its_password(password: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: small\n")
    study = load_study(file, [f"tracking.uri=http://me:{password}@host:5000"])
    assert study.tracking.uri == "http://host:5000"
    assert not shows(to_yaml(study), password)
    assert study == load_study(file, ["tracking.uri=http://host:5000"]), "so a resume is taken"
    with pytest.raises(SettingsError) as caught:
        load_study(file, [f"tracking.uri.more=http://me:{password}@host:5000", "x.y=1"])
    assert not shows(without_secrets(str(caught.value)), password)


def test_a_command_starts_again_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others read of a process, and Ray writes down, are its arguments."""
    begun: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, words: begun.append(words))
    monkeypatch.delenv("XMRC_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "xmrc.tune", "--set", "search.trials=3"])
    credentials.hide_arguments()
    assert begun == []
    words = ["python", "-m", "xmrc.tune", "--set", "tracking.uri=http://me:p@ss word@host"]
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setenv("XMRC_TRACKING_URI", "")
    credentials.hide_arguments()
    assert begun == [[*words[:-1], "tracking.uri=http://host"]]
    monkeypatch.setattr(credentials, "_whole", {})
    assert login_of("http://host") == ("me", "p@ss word")

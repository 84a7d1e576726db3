import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from xmrc.tracking.provenance import provenance


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_the_commit_of_the_working_tree(tmp_path: Path) -> None:
    git("init")
    (tmp_path / "space.yaml").write_text("name: a")
    git("add", "space.yaml")
    git("commit", "-m", "first")
    (tmp_path / "untracked").touch()
    tags = provenance()
    assert tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["xmrc.git_clean"] == "true"
    (tmp_path / "space.yaml").write_text("name: b")
    assert provenance()["xmrc.git_clean"] == "false"


def test_no_working_tree_no_commit() -> None:
    assert not [key for key in provenance() if "git" in key]


def test_no_git_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [key for key in provenance() if "git" in key]


def test_versions() -> None:
    assert provenance()["version.mlflow"] == importlib.metadata.version("mlflow")

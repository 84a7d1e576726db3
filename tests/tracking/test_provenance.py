import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from xmrc.tracking.provenance import provenance


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Where the code is when it was installed: in no repository."""
    return tmp_path / "site-packages"


def test_the_commit_of_the_working_tree(tmp_path: Path, installed: Path) -> None:
    git("init")
    (tmp_path / "space.yaml").write_text("name: a")
    git("add", "space.yaml")
    git("commit", "-m", "first")
    (tmp_path / "untracked").touch()
    tags = provenance(installed)
    assert tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["xmrc.git_clean"] == "true"
    (tmp_path / "space.yaml").write_text("name: b")
    assert provenance(installed)["xmrc.git_clean"] == "false"


def test_the_commit_of_the_code_comes_before_that_of_the_working_tree(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    commits = []
    for folder in (installed, tmp_path / "work"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        git("init")
        (folder / "file").write_text(str(folder))
        git("add", "file")
        git("commit", "-m", str(folder))
        commits.append(git("rev-parse", "HEAD"))
    assert provenance(installed)["mlflow.source.git.commit"] == commits[0] != commits[1]


def test_no_working_tree_no_commit(installed: Path) -> None:
    assert not [key for key in provenance(installed) if "git" in key]


def test_no_git_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [key for key in provenance(installed) if "git" in key]


def test_versions() -> None:
    assert provenance()["version.mlflow"] == importlib.metadata.version("mlflow")

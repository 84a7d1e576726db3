"""A study under `uv run`, which has Ray start its processes in a way of its own."""

import os
import shutil
import sys

import pytest
from command_runs import REPOSITORY, Storage, run, settings
from ray_here import a_home
from uv import find_uv_bin

pytestmark = pytest.mark.studies


def test_uv_runs_a_study() -> None:
    with a_home() as home:
        project = home / "project"
        project.mkdir()
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(REPOSITORY / name, project / name)
        for name in ("xmrc", "search_spaces"):
            shutil.copytree(REPOSITORY / name, project / name)
        storage = Storage(home / "runs")
        options = settings(
            f"storage={storage.root}", "search.trials=1", "search.start_from=[]",
            "settings.base=null", "settings.start_from_base=false", "settings.data.limit=12",
            "settings.training.epochs=1", "search.grace=1",
        )  # fmt: skip
        uv_run = [find_uv_bin(), "run", "--active", "--no-sync", "--offline"]
        words = [*uv_run, "-m", "xmrc.tune", "--space", "search_spaces/demo.yaml", *options]
        done = run(words, home, project, VIRTUAL_ENV=sys.prefix, UV_CACHE_DIR=str(home / "uv"))
        assert done.code == 0, done
        (trial,) = storage.trials("demo")
        assert trial["state"] == "finished", trial["cause"]
        assert storage.versions() == ["1"]
        assert not os.path.lexists(project / "uv.lock")

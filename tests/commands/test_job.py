"""A study submitted as a job to a running Ray cluster, with the words of the README.

Its trial trains on two workers, which share each batch.
"""

import os
import shutil
from pathlib import Path

import pytest
from command_runs import REPOSITORY, Done, Storage, settings
from ray_head import ray_head
from ray_here import a_home

pytestmark = [pytest.mark.studies, pytest.mark.timeout(1800)]

SHORT = settings(
    "search.trials=1",
    "resources.workers=2",
    "settings.data.limit=10",
    "settings.base=null",
    "settings.start_from_base=false",
    "settings.training.epochs=1",
    "search.start_from=[]",
)


def submitted(home: Path) -> Done:
    """The job, from a clone that is no checkout."""
    clone = home / "clone"
    for part in ("xmrc", "search_spaces"):
        shutil.copytree(REPOSITORY / part, clone / part)
    command = ["python", "-m", "xmrc.tune", "--space", "search_spaces/demo.yaml", *SHORT]
    with ray_head(home, clone) as head:
        return head.ray("job", "submit", "--working-dir", ".", "--", *command)


def test_a_job_runs_the_study_and_keeps_it_under_the_home_folder() -> None:
    with a_home() as home:
        done = submitted(home)
        printed = done.out + done.err
        assert done.code == 0, printed
        assert "succeeded" in printed
        storage = Storage(home / "xmrc" / "runs")
        (trial,) = storage.trials("demo")
        assert trial["state"] == "finished"
        (child,) = storage.children("demo")
        assert child.data.metrics["gxlt_f1"] == trial["best"]
        assert storage.versions() == ["1"]
        assert f"everything is kept in {storage.root}" in printed
        assert f"--storage {storage.root}" in printed, "the next commands find it"
        assert "Traceback" not in printed
        assert os.listdir(storage.root / "cache" / "tokens")

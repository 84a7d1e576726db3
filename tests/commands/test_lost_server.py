"""A tracking server that goes away for good while a study runs, and what becomes of the study.

The URI holds a password of awkward characters, which must be found nowhere afterwards.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from awkward_passwords import AWKWARD, shows
from command_runs import Done, Running, Storage, module, run, settings
from mlflow import MlflowClient
from mlflow_server import Server
from ray_here import CPUS, a_home

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

PASSWORD = AWKWARD[-1]
EXPERIMENT, MODEL = "../escaped", "xmrc-gxlt"
YAML = f"""
name: lost
storage: {{storage}}
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {{{{train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 10,
          max_length: 128, max_question_tokens: 32, stride: 16}}}}
  training: {{{{epochs: 2, batch_size: 8, dropout: 0.0}}}}
space:
  training.learning_rate: {{{{choice: [1e-3, 2e-3]}}}}
search: {{{{sampler: grid, evaluate_every: 1.0, scheduler: none, final: [demo/test]}}}}
resources: {{{{cpus_per_worker: {CPUS}}}}}
tracking: {{{{experiment: {EXPERIMENT}}}}}
"""


@dataclass(frozen=True)
class Kept:
    """All that a server has of the study, the ids of its runs aside."""

    runs: dict[str, Any]  # by name: status, parameters, points of metrics
    tags: dict[str, dict[str, str]]
    files: dict[str, list[str]]
    versions: dict[str, dict[str, str]]  # by number: tags
    aliases: dict[str, str]

    @classmethod
    def at(cls, server: Server) -> "Kept":
        client = MlflowClient(server.uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id])
        names = [str(one.info.run_name) for one in found]
        assert len(set(names)) == len(names), "each once"
        versions = client.search_model_versions(f"name='{MODEL}'")
        aliases = client.get_registered_model(MODEL).aliases
        return cls(
            {str(run.info.run_name): _numbers(client, run) for run in found},
            {str(run.info.run_name): dict(run.data.tags) for run in found},
            {str(run.info.run_name): sorted(_walk(client, run.info.run_id)) for run in found},
            {str(one.version): dict(one.tags) for one in versions},
            {alias: str(number) for alias, number in aliases.items()},
        )


def _numbers(client: MlflowClient, run: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    points = {
        key: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    return run.info.status, dict(run.data.params), points


def _walk(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from _walk(client, run_id, one.path)
        else:
            yield one.path


@dataclass
class Story:
    """The server goes during the search; all is sent to it twice, and to another by a resume."""

    home: Path
    storage: Storage
    uri: str  # without the password
    study: Done
    seconds: float  # from the champion's scores to the end of the command
    uploads: list[Done]
    resumed: Done  # at the second server
    kept: list[Kept]  # by the first server after each upload; by the second after resume and upload


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with a_home() as home:
        servers = [Server(home / name) for name in ("first", "second")]
        for server in servers:
            server.folder.mkdir()
        try:
            yield told(home, *servers)
        finally:
            for server in servers:
                server.stop()


def told(home: Path, first: Server, second: Server) -> Story:
    storage = Storage(home / "runs")
    file = home / "lost.yaml"
    file.write_text(YAML.format(storage=storage.root))
    first.start()
    words = module("tune", "--space", str(file), *settings(f"tracking.uri={secretly(first)}"))
    running = Running(words, home)
    running.wait_until(lambda: [one for one in storage.trials("lost") if one["state"] != "running"])
    first.stop()
    running.wait_until(lambda: list(storage.root.glob("lost/*/champion/scores.json")))
    began = time.monotonic()
    study = running.end()
    seconds = time.monotonic() - began

    first.start()
    upload = module("report", "--storage", str(storage.root), "--upload")
    uploads, kept = [], []
    for _ in range(2):
        uploads.append(run([*upload, "lost"], home))
        kept.append(Kept.at(first))
    first.stop()
    second.start()
    elsewhere = settings(f"tracking.uri={secretly(second)}")
    resumed = run([*words, *elsewhere, "--resume"], home)
    kept.append(Kept.at(second))
    uploads.append(run([*upload, "lost", "--tracking-uri", secretly(second)], home))
    kept.append(Kept.at(second))
    return Story(home, storage, first.uri, study, seconds, uploads, resumed, kept)


def secretly(server: Server) -> str:
    return server.uri.replace("http://", f"http://me:{PASSWORD}@")


def test_the_study_ends_well_and_says_how_to_send_it(story: Story) -> None:
    assert (story.study.code, story.study.err) == (0, "")
    root, folder = story.storage.root, story.storage.folder("lost")
    assert story.study.line("registered: ").startswith("registered: nothing yet; promotion")
    assert story.study.lines[-1].strip() == (
        f"python -m xmrc.report --upload lost/{folder.name} --storage {root} "
        f"--tracking-uri {story.uri}"
    )
    print(f"from the champion's scores to the end: {story.seconds:.0f} s")
    assert story.seconds < 90, "drawing and final sets included"


def test_its_result_is_on_disk(story: Story) -> None:
    folder = story.storage.folder("lost")
    for name in ("champion/scores.json", "report/index.html", "pairs.csv"):
        assert (folder / name).is_file(), name
    assert "gxlt_f1" in story.storage.scores("lost", "champion")["metrics"]


def test_the_upload_sends_everything(story: Story) -> None:
    first, kept = story.uploads[0], story.kept[0]
    assert (first.code, first.err) == (0, "")
    assert "is version 1" in first.line("registered: ")
    assert sorted(kept.runs) == ["lost", "trial-1", "trial-2"]
    for name, (status, params, points) in kept.runs.items():
        assert status == "FINISHED", name
        assert params
        if name != "lost":
            assert [step for step, _ in points["gxlt_f1"]] == [1, 2]
    _, params, points = kept.runs["lost"]
    assert params["encoder"] == "demo"
    assert {"base_gxlt_f1", "champion_gxlt_f1", "final/demo/test/champion_gxlt_f1"} <= set(points)
    assert kept.tags["lost"]["version.mlflow"].startswith("3.")
    assert {
        "study.yaml", "trials.csv", "pairs.csv", "champion/scores.json",
        "champion/matrix.png", "champion/difference.png", "final/labels.json",
        "final/demo/test/base/scores.json",
        "final/demo/test/champion/matrix.png", "report/index.html",
    } <= set(kept.files["lost"])  # fmt: skip
    assert kept.aliases == {"champion": "1"}


def test_nothing_is_written_twice(story: Story) -> None:
    first, again, resumed, sent = story.kept
    assert [one.code for one in story.uploads] == [0, 0, 0]
    assert again == first
    assert sent.runs == resumed.runs
    assert (sent.versions, sent.aliases) == (resumed.versions, resumed.aliases)


def test_a_resume_sends_the_same_to_another_server(story: Story) -> None:
    assert (story.resumed.code, story.resumed.err) == (0, "")
    first, _, other, _ = story.kept
    assert (other.runs, other.files, other.aliases) == (first.runs, first.files, first.aliases)
    assert list(other.versions) == ["1"]


def test_the_password_is_nowhere(story: Story) -> None:
    for done in (story.study, story.resumed, *story.uploads):
        assert not shows(done.out + done.err, PASSWORD)
    files = [path for path in story.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    for path in files:
        assert not shows(path.read_bytes().decode("utf-8", "replace"), PASSWORD), path


def test_no_name_of_an_experiment_leads_out_of_the_storage(story: Story) -> None:
    assert not list(story.home.rglob("escaped*"))

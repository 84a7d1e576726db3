import os
import re
import threading
from pathlib import Path

import pytest

from xmrc.errors import DataError, ResourceError, SettingsError
from xmrc.files import write_text
from xmrc.search import folder
from xmrc.search.folder import (
    StudyFolder,
    begun_folder,
    check_format,
    new_folder,
    searches_beside,
    storage_path,
    storage_root,
)
from xmrc.search.ledger import Ledger
from xmrc.settings import Study, load_study

YAML = """
name: small
settings:
  encoder: demo
  base: {corpus: demo/train, epochs: 1}
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1}
space:
  data.ntl: {int: [0, 1]}
  training.learning_rate: {log_float: [1e-4, 1e-3], when: {data.ntl: 1}}
search: {trials: 3}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(YAML)
    return path


@pytest.fixture
def study(file) -> Study:
    return load_study(file)


def begin(root: Path, study: Study) -> StudyFolder:
    """A run that was begun and ended."""
    with new_folder(root, study) as made:
        return made


def resume(root: Path, study: Study, run: str = "") -> StudyFolder:
    """The run that is gone on with, and ended."""
    with begun_folder(root, study, run) as begun:
        return begun


def test_a_new_folder_has_the_settings(study, tmp_path):
    made = begin(tmp_path / "runs", study)
    assert made.path.parent == tmp_path / "runs" / "small"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}", made.path.name)
    again = load_study(made.path / "study.yaml")
    assert again == study


def test_new_folders_never_collide(study, tmp_path, monkeypatch):
    monkeypatch.setattr(folder.time, "strftime", lambda _: "2030-01-01-000000")
    made, gate = [], threading.Barrier(8)

    def make():
        gate.wait()
        made.extend(begin(tmp_path, study).path for _ in range(5))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 40
    assert all((path / "study.yaml").read_text() for path in made)


def test_there_is_an_end_to_trying(study, tmp_path, monkeypatch):
    monkeypatch.setattr(folder.time, "strftime", lambda _: "2030-01-01-000000")
    for name in ("", *(f"-{number}" for number in range(2, 100))):
        (tmp_path / "small" / f"2030-01-01-000000{name}").mkdir(parents=True)
    with pytest.raises(ResourceError, match=r"^storage: "):
        begin(tmp_path, study)


def test_a_resumed_study_goes_on_in_its_last_folder(study, tmp_path, monkeypatch):
    stamps = iter(["2030-01-01-235959", "2030-01-02-000000"])
    monkeypatch.setattr(folder.time, "strftime", lambda _: next(stamps))
    begin(tmp_path, study)
    last = begin(tmp_path, study)
    (tmp_path / "small" / "2031-half-made").mkdir()  # killed before its settings were written
    assert resume(tmp_path, study) == last


def test_it_may_go_on_at_another_server_but_not_at_none(file, tmp_path):
    def at(*overrides: str) -> Study:
        return load_study(file, overrides)

    begun = begin(tmp_path, at())
    named = at("tracking.uri=http://me:secret@one:5000")
    assert resume(tmp_path, named) == begun
    begun.keep(named)
    assert resume(tmp_path, at("tracking.uri=http://two:5000")) == begun
    with pytest.raises(SettingsError) as caught:
        resume(tmp_path, at())
    assert str(caught.value).startswith("--resume: tracking.uri must be as it was")
    assert "http://one:5000" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "key", "then", "now"),
    [
        ("settings.training.epochs=7", "settings.training.epochs", "3", "7"),
        ("settings.base.epochs=2", "settings.base.epochs", "1", "2"),
        ("settings.data.languages=[en, de]", "settings.data.languages", "[en, es]", "[en, de]"),
        (
            "settings.objective.distill={}",
            "settings.objective.distill.coefficient",
            "absent",
            "map",
        ),
        ("space.data.ntl.int=[0, 2]", "space.data.ntl.int", "[0, 1]", "[0, 2]"),
        ("space.training.learning_rate.when=null", "space.training.learning_rate.when", "1", ""),
        ("space.training.warmup={choice: [0.1]}", "space.training.warmup", "absent", "[0.1]"),
        ("search.trials=4", "search.trials", "3", "4"),
    ],
)
def test_resuming_with_other_settings_is_refused_by_key(
    file, study, tmp_path, override, key, then, now
):
    begun = begin(tmp_path / "runs", study).path / "study.yaml"
    with pytest.raises(SettingsError) as refused:
        resume(tmp_path / "runs", load_study(file, [override]))
    text = str(refused.value)
    assert text.startswith(f"--resume: {key}")
    assert f", {then} in {begun}, got {now}" in text
    assert "\n" not in text


def test_the_storage_may_lie_elsewhere_now(file, study, tmp_path):
    begin(tmp_path / "runs", study)
    (tmp_path / "runs").rename(tmp_path / "moved")
    for spelled in (tmp_path / "moved", "moved", "runs"):
        moved = load_study(file, [f"storage={spelled}"])
        assert resume(tmp_path / "moved", moved).storage == tmp_path / "moved"


@pytest.mark.parametrize("form", ["{date}", "small/{date}", "{root}/small/{date}", "."])
def test_a_run_is_resumed_by_its_name_or_folder(study, tmp_path, monkeypatch, form):
    older = begin(tmp_path / "runs", study)
    begin(tmp_path / "runs", study)
    monkeypatch.chdir(older.path)
    run = form.format(date=older.path.name, root=tmp_path / "runs")
    assert resume(tmp_path / "runs", study, run) == older
    assert resume(tmp_path / "runs", study) != older
    if form.startswith(("{root}", ".")):  # which says where the storage is, too
        assert resume(tmp_path / "other", study, run).storage == tmp_path / "runs"


@pytest.mark.parametrize("run", ["2030-01-01-000000", "..", "../..", "../other", "/", "~", "a b"])
def test_what_is_no_run_of_the_study(study, tmp_path, run):
    begin(tmp_path / "runs", study)
    begin(tmp_path / "runs", study.model_copy(update={"name": "other"}))
    rule = r"^--resume: must be the DATE-TIME of a run under .*/small, or its folder, got "
    with pytest.raises(SettingsError, match=rule + re.escape(run)):
        resume(tmp_path / "runs", study, run)


def test_a_run_of_another_study_is_none_of_this_one(study, tmp_path):
    other = begin(tmp_path / "runs", study.model_copy(update={"name": "other"})).path
    for run in (str(other), f"other/{other.name}", f"../other/{other.name}"):
        with pytest.raises(SettingsError, match=r"^--resume: must be the DATE-TIME of a run"):
            resume(tmp_path / "runs", study, run)


def test_nobody_else_goes_on_with_a_run(study, tmp_path):
    with new_folder(tmp_path, study) as made:
        with pytest.raises(ResourceError, match=rf"^{made.path}: .*, pid {os.getpid()}, since "):
            resume(tmp_path, study)
        assert list(searches_beside(made)) == []
        with new_folder(tmp_path, study) as beside:
            ((path, owner),) = searches_beside(beside)
            assert (path, owner.pid) == (made.path, os.getpid())
    assert resume(tmp_path, study) == beside


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text[: text.index("search:")],  # is YAML, too
        lambda text: text.replace("epochs: 3", "epochs: 4"),
        lambda text: "{",
        lambda text: "",
        None,
    ],
)
def test_a_study_file_that_was_changed_is_named_and_as_it_was_again(
    file, study, tmp_path, capsys, damage
):
    made = begin(tmp_path / "runs", study)
    settings = made.path / "study.yaml"
    whole = settings.read_text()
    if damage:
        settings.write_text(damage(whole))
    else:
        settings.unlink()
    assert resume(tmp_path / "runs", study) == made
    assert settings.read_text() == whole
    told = capsys.readouterr().err
    assert told.startswith(f"note: {settings}: was changed or damaged since the study began")
    assert told.count("\n") == 1
    with pytest.raises(SettingsError, match=r"^--resume: settings\.training\.epochs must be"):
        resume(tmp_path / "runs", load_study(file, ["settings.training.epochs=4"]))


def test_a_damaged_study_file_of_which_there_is_no_copy(study, tmp_path):
    made = begin(tmp_path / "runs", study).path
    for name in ("state.json", ".state.json.copy"):
        (made / name).unlink()
    (made / "study.yaml").write_text("{")
    with pytest.raises(DataError, match=rf"^{made}/study.yaml: must be YAML, and is damaged: "):
        resume(tmp_path / "runs", study)


def test_a_study_that_never_began(study, tmp_path):
    with pytest.raises(SettingsError, match=r"^--resume: a study must have begun under .*/small$"):
        resume(tmp_path, study)
    assert list(tmp_path.iterdir()) == [tmp_path / "small.yaml"]


def test_facts_are_remembered_and_replaced(tmp_path):
    one = StudyFolder(tmp_path)
    assert one.state() == {}
    one.remember(run_id="abc", at_once=2)
    one.remember(version="1", at_once=1)
    assert StudyFolder(tmp_path).state() == {"run_id": "abc", "at_once": 1, "version": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".state.json.copy", "state.json"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    write_text(path, "first")

    def cut(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "second")
    assert path.read_text() == "first"


@pytest.mark.parametrize("name", ["state.json", "trials.json", "confirm.json"])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[]", "must be of format 2, .*, got none"),  # as before there were formats
        ('{"format": 1, "sha256": "", "content": []}', "must be of format 2, .*, got 1"),
        ('{"format": 2, "sha256": "", "content": []}', "must be as it was written"),
        ('{"format": 2', "must be JSON, and is damaged"),
    ],
)
def test_a_folder_of_another_format_or_a_damaged_one_is_refused(study, tmp_path, name, text, rule):
    path = begin(tmp_path / "runs", study).path / name
    for file in (path, path.with_name(f".{name}.copy")):
        file.write_text(text)
    (path.parent / "champion").mkdir()
    for refuse in (
        lambda: resume(tmp_path / "runs", study),
        lambda: check_format(path.parent / "champion"),
    ):
        with pytest.raises(DataError, match=f"^{path}: {rule}") as refused:
            refuse()
        assert "\n" not in str(refused.value)


def test_a_folder_of_this_format_and_one_outside_of_any_study_are_not(study, tmp_path):
    made = begin(tmp_path / "runs", study)
    made.remember(run_id="abc")
    Ledger.open(made.path / "trials.json", "gxlt_f1").propose("t1", 1, {}, 0.0)
    assert resume(tmp_path / "runs", study) == made
    check_format(made.path / "champion")
    check_format(tmp_path)


def test_where_the_storage_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage_path("runs") == tmp_path / "runs"
    assert storage_path("~/runs") == tmp_path / "home" / "runs"
    assert storage_path("/shared/runs") == Path("/shared/runs")


def test_inside_a_job_a_relative_storage_outlives_the_job(tmp_path, monkeypatch):
    """Ray unpacks the working folder of a job, and deletes it when the job is over."""
    working = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_0"
    working.mkdir(parents=True)
    monkeypatch.chdir(working)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage_path("runs") == tmp_path / "home" / "xmrc" / "runs"
    assert storage_path("/shared/runs") == Path("/shared/runs")


@pytest.mark.parametrize("storage", ["s3://bucket/runs", "gs://runs", "file:///tmp/runs"])
def test_a_uri_is_no_storage(storage):
    with pytest.raises(ResourceError, match=r"^storage: must be a folder .*, got \w+://"):
        storage_path(storage)


def test_a_storage_that_can_be_written_is_left_as_it_is(tmp_path):
    assert storage_root(str(tmp_path / "new" / "runs")) == tmp_path / "new" / "runs"
    assert storage_root(str(tmp_path)) == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/runs", "file", "closed/runs"])
def test_a_storage_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir(mode=0o500)
    if place.startswith("closed") and os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(ResourceError, match=rf"^storage: {tmp_path / place}: ") as refused:
        storage_root(str(tmp_path / place))
    assert "\n" not in str(refused.value)

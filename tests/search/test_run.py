"""A run of a study from its opening on: what refuses it, and how MLflow hears of its end."""

from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console

from xmrc.search.corpora import study_corpora
from xmrc.search.folder import StudyFolder
from xmrc.search.lock import locked
from xmrc.search.run import Run, open_run
from xmrc.settings import Study, load_study

YAML = """
name: few
settings:
  encoder: demo
  base: null
  start_from_base: false
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 4,
         max_length: 128, max_question_tokens: 32, stride: 16}
"""
SILENT = Console(quiet=True)


def study_in(folder: Path, *overrides: str) -> Study:
    path = folder / "few.yaml"
    path.write_text(YAML)
    return load_study(path, [f"storage={folder / 'runs'}", *overrides])


def failed_run(study: Study, begun: StudyFolder | None, error: BaseException) -> Run:
    """A run that ends with this error."""
    held = nullcontext() if begun is None else locked(begun.path)
    with (
        suppress(type(error)),
        held,
        open_run(study, study_corpora(study), begun, SILENT) as run,
    ):
        raise error
    return run


def test_mlflow_hears_how_a_run_ends_and_a_resumed_one_goes_on_with_it(
    cluster: None, tmp_path: Path
) -> None:
    study, folder, ids = study_in(tmp_path), None, set()
    ended = [(KeyboardInterrupt("later"), "KILLED"), (ValueError("no luck"), "FAILED")]
    for error, status in ended:
        run = failed_run(study, folder, error)
        folder = run.folder
        seen = run.tracker.client.get_run(run.tracker.run_id())
        assert seen.info.status == status
        assert seen.data.tags["xmrc.cause"].endswith(str(error))
        assert seen.data.tags["data.select"] == run.prepared.select.content
        ids.add(seen.info.run_id)
    assert len(ids) == 1

"""What a failing disk does to the folder of a run: its page has the same numbers, or one line."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st
from study_folders import CHAMPION, CONFIRM, CONFIRMING, START, study_folder

from xmrc.errors import XmrcError
from xmrc.pages.findings import read_findings
from xmrc.seals import seal
from xmrc.search.observed import PAIRS, ObservedTables, read_table

ROW = {"evaluation": 1, "epoch": 0.5, "question_language": "en", "context_language": "de", "f1": 7}
FINALS = {"demo-test": {"base": START, "champion": CHAMPION}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = {"version": "1", "select": "demo/dev"}
    made = study_folder(
        tmp_path_factory.mktemp("run"),
        study=CONFIRMING, confirm=CONFIRM, finals=FINALS, state=state,
    )  # fmt: skip
    ObservedTables.open(made).put(2, {"pairs": [ROW]})
    for file in made.rglob("examples.parquet"):
        seal(file.parent)  # as studies do
    return made


def shown(folder: Path) -> list[Any]:
    """All that a page reads."""
    found = read_findings(folder)
    finals = {one: {k: v.to_dict() for k, v in each.items()} for one, each in found.finals.items()}
    readings = [
        frame if frame is None else frame.to_dict() for frame in (found.start, found.champion)
    ]
    rows = read_table(folder, PAIRS).to_dict()
    return [
        found.ledger.table,
        found.confirmation,
        found.version,
        found.select,
        finals,
        readings,
        rows,
    ]


def outcome(folder: Path) -> str:
    """What is shown, or why nothing is."""
    try:
        return repr(shown(folder))
    except XmrcError as refused:
        return str(refused)


@pytest.fixture(scope="module")
def intact(folder: Path) -> str:
    return outcome(folder)


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_a_damaged_file_changes_no_number(folder: Path, intact: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        copy = shutil.copytree(folder, Path(root) / folder.name)
        files = [path for path in sorted(copy.rglob("*")) if path.is_file()]
        file = data.draw(st.sampled_from([one for one in files if one.suffix != ".yaml"]))
        damage(file, data)
        found = outcome(copy)
        assert found == intact or re.fullmatch(f"{file}: .+", found)

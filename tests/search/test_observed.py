"""Tables of what trainings report: made again when they are damaged, from reports that are not."""

import tempfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from damage import damage
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.errors import DataError
from xmrc.search.observed import C_KL, PAIRS, ObservedTables, read_table

PLACE = {"evaluation": 1, "epoch": 0.5, "step": 3, "question_language": "en"}
PAIR_ROWS = [{**PLACE, "context_language": other, "n": 2, "f1": 0.1} for other in ("de", "zh")]
C_KL_ROWS = [{**PLACE, "context_language": "de", "c_kl": 1 / 3}]


def reported(folder: Path) -> ObservedTables:
    tables = ObservedTables.open(folder)
    tables.put(2, {"pairs": PAIR_ROWS, "c_kl": C_KL_ROWS})
    tables.put(1, {"pairs": PAIR_ROWS[:1]})
    return tables


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_damaged_table_is_named_and_made_again(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root, redirect_stderr(StringIO()) as said:
        folder = Path(root)
        reported(folder)
        whole = contents(folder)
        assert sorted(whole) == sorted([PAIRS, C_KL])
        file = folder / data.draw(st.sampled_from(sorted(whole)))
        damage(file, data)
        rows = read_table(folder, PAIRS)
        assert rows["trial"].tolist() == [1, 2, 2]
        assert rows["f1"].tolist() == [0.1] * 3
        ObservedTables.open(folder)
        assert contents(folder) == whole
        ObservedTables.open(folder)
        assert said.getvalue() == f"note: {file}: must have what was reported; it is made again\n"


def test_a_table_that_a_kill_left_behind_is_made_again_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is written before the table."""
    reported(tmp_path)
    behind = contents(tmp_path)
    sums = {path: path.read_bytes() for path in tmp_path.glob("observed/*tables*")}
    ObservedTables.open(tmp_path).put(3, {"c_kl": C_KL_ROWS})
    whole = contents(tmp_path)
    for path, content in {tmp_path / name: text for name, text in behind.items()}.items():
        path.write_bytes(content)
    for path, content in sums.items():
        path.write_bytes(content)
    ObservedTables.open(tmp_path)
    assert contents(tmp_path) == whole != behind
    assert capsys.readouterr().err == ""


def test_a_lost_table_is_made_again_and_what_comes_next_is_added(tmp_path: Path) -> None:
    reported(tmp_path)
    whole = contents(tmp_path)
    (tmp_path / PAIRS).unlink()
    ObservedTables.open(tmp_path).put(3, {"c_kl": C_KL_ROWS})
    assert contents(tmp_path) == whole | {C_KL: whole[C_KL] + b"3" + whole[C_KL].split(b"\n2")[1]}


def test_a_damaged_report_is_refused_in_one_line(tmp_path: Path) -> None:
    reported(tmp_path)
    for file in tmp_path.glob("observed/*[0-9].json*"):  # and what may have been kept of it beside
        file.write_text(file.read_text().replace("0.1", "0.2"))
    for opened in (ObservedTables.open, lambda folder: read_table(folder, PAIRS)):
        with pytest.raises(DataError, match=r"^\S+/observed/\d\.json: must be as it was written"):
            opened(tmp_path)

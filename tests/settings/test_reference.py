"""docs/settings.md: every key of a study file, as the program prints it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
PLUGIN = '''
from xmrc.learning.terms import Term, register_term
from xmrc.settings.fields import Positive, Section

class MarginSettings(Section):
    """Keeps the right answer ahead."""

    width: Positive = 0.5
    """How far, in logits."""

@register_term("margin", MarginSettings)
class Margin(Term):
    pass
'''


def printed(*plugins: str) -> str:
    command = [sys.executable, "-m", "xmrc.settings.reference", *plugins]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def cells() -> dict[str, list[str]]:
    """Type, default and meaning by dotted key."""
    found, above = {}, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            above = f"{line[3:]}."
        elif row := re.fullmatch(r"\| `(\w+)` \| (.*) \|", line):
            found[above + row[1]] = row[2].split(" | ")
    return found


def test_the_page_is_what_the_program_prints():
    assert PAGE.read_text(encoding="utf-8") == printed()


def test_a_key_has_its_type_its_default_and_its_meaning(cells):
    assert cells["name"][:2] == ["text", "required"]
    assert cells["settings.base"][:2] == ["section or null", "`{corpus: squad/train}`"]
    assert cells["settings.data.ntl"][:2] == ["whole number ≥ 0", "`5`"]
    assert cells["settings.data.languages"][:2] == [
        "list of text",
        "`[en, es, de, ar, vi, hi, zh]`",
    ]
    assert cells["settings.objective.span"][:2] == ["`ce`, `mml`, `hard_em`, `hl`, `none`", "`ce`"]
    assert cells["settings.objective.distill"][1] == "`null`"
    assert cells["settings.objective.distill.coefficient"][0] == "number ≥ 0 or `map`"
    assert cells["settings.training.dropout"][0] == "number ≥ 0, < 1 or null"
    assert cells["space.KEY.int"][0] == "[whole number, whole number] or null"
    assert cells["search.final[].corpus"][:2] == ["text", "required"]
    assert "expected.KEY.ranks" in cells
    assert [key for key, row in cells.items() if len(row) != 3 or not row[2].endswith(".")] == []


def test_the_section_of_a_plugin_is_a_table_too(tmp_path):
    (tmp_path / "margin.py").write_text(PLUGIN)
    page = printed(str(tmp_path / "margin.py"))
    assert "| `margin` | section or null |" in page
    assert "\n## settings.objective.margin\n\nKeeps the right answer ahead.\n" in page
    assert "| `width` | number > 0 | `0.5` | How far, in logits. |" in page

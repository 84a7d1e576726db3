"""A study's page: what it says, and that a browser shows it without anything beside it."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from gxlt_scores import scored_row
from study_folders import CHAMPION, CONFIRM, CONFIRMING, STUDY, TRIALS, study_folder, trial

from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError, ResourceError, SettingsError
from xmrc.pages.findings import find_run
from xmrc.pages.page import draw_champion, draw_final_sets, write_report
from xmrc.scoring.gxlt import summarise
from xmrc.scoring.predictions import scored_frame

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
EXPECTED = """
expected:
  base: {gxlt_f1: 49.7, ranks: {en: [2, 1]}, note: the print says <59.7> & "more"}
  SKD: {where: {objective.distill.coefficient: map}, gxlt_f1: {mean: 59.2, en: 68.4}}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = study_folder(tmp_path_factory.mktemp("runs"), study=STUDY + EXPECTED)
    return write_report(folder)


def opened(page, tmp_path, script=""):
    """The page as the browser has it after `script`, with the network denied."""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text() + f"<script>{script}</script>")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=0.0.0.0"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"]
    ran = subprocess.run(
        [*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def title(dom):
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))


@needs_browser
def test_pictures_are_there_without_a_network(page, tmp_path):
    script = """
        const sizes = [...document.images].map((one) => [one.id, one.naturalWidth]);
        document.title = JSON.stringify(Object.fromEntries(sizes));
    """
    widths = title(opened(page, tmp_path, script))
    assert widths["gxlt-f1-best"] > 300
    assert set(widths) == {file.stem for file in page.parent.glob("*.png")}
    assert min(widths.values()) > 300


@needs_browser
def test_trials_sort_by_the_heading_that_is_clicked(page, tmp_path):
    script = """
        const table = document.querySelector("#trials table");
        const shown = () => [...table.tBodies[0].rows].map((row) => row.cells[0].innerText);
        const click = (n) => { table.tHead.rows[0].cells[n].firstChild.click(); return shown(); };
        const sort = () => [...table.tHead.rows[0].cells].map((one) => one.ariaSort);
        document.title = JSON.stringify(
            [shown(), sort(), click(1), sort(), click(0), click(0), click(3)]);
    """
    first, sort, by_score, now, by_number, other_way, by_name = title(
        opened(page, tmp_path, script)
    )
    assert first == ["2", "1", "3", "4"]  # the one that failed has no score
    assert (sort[1], sort[0]) == ("descending", None)
    assert by_score == ["3", "1", "2", "4"]
    assert (now[1], now[0]) == ("ascending", None)
    assert by_number == ["4", "3", "2", "1"]
    assert other_way == ["1", "2", "3", "4"]
    assert by_name[0] == "2"  # map stands behind numbers


def test_it_asks_for_nothing_from_elsewhere(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=\"(?!data:image/png;base64,|#)", text)
    assert not re.search(r"@import|url\(|fetch\(|https?://", text)


def test_what_it_says(page):
    text = page.read_text()
    assert "<b>42.0</b>" in text  # the best
    assert "<b>+2.0</b>" in text  # over 40, the mean of the start
    assert "failed: &lt;lost&gt; &amp; gone" in text
    (said,) = re.findall(r"<p>base: (.*?)</p>", text)
    assert "<" not in said
    assert unescape(said) == 'the print says <59.7> & "more"'
    row = re.search(r"<tr><td[^>]*>SKD</td>.*?gxlt_f1.*?mean.*?</tr>", text)[0]
    assert re.findall(r">([^<>]+)</td>", row) == [
        *("SKD", "2", "gxlt_f1", "mean", "59.2", "45.0", "−14.2")
    ]
    assert "ranking-limited" in text  # what is the matter with the start
    assert "log_float" in text  # the study file


@pytest.mark.parametrize(
    ("given", "absent"),
    [
        ({"start": []}, {"gxlt-f1-start", "gxlt-f1-difference"}),
        ({"champion": []}, {"gxlt-f1-best", "gxlt-f1-difference"}),
        ({"start": [], "champion": []}, {"gxlt-f1-best", "gxlt-f1-start", "ranks"}),
        ({"trials": [trial(1, {}, [3.0])], "study": "name: small\n"}, {"parallel", "c_kl"}),
        ({"trials": [{**TRIALS[0], "state": "running"}]}, {"c_kl"}),
    ],
)
def test_what_there_is_not_is_left_out(given, absent, tmp_path):
    out = write_report(study_folder(tmp_path, **given), tmp_path / "elsewhere").parent
    drawn = {file.stem for file in out.glob("*.png")}
    assert out == tmp_path / "elsewhere"
    assert "history" in drawn
    assert not drawn & absent


def test_a_confirmed_study_is_shown_by_its_winner(tmp_path):
    state = {"verdict": {"alias": "champion", "reason": "Champion: the first.", "tags": {}}}
    page = write_report(study_folder(tmp_path, study=CONFIRMING, confirm=CONFIRM, state=state))
    text = page.read_text()
    assert "<b>41.0</b><span>gxlt_f1, trial 1, mean of 3 fresh seeds" in text
    assert "F1 of trial 1, seed 101." in text  # the heatmap
    assert text.index('id="best"') < text.index('id="confirmation"') < text.index('id="trials"')
    assert "Champion: the first. It is not registered yet." in text
    assert (page.parent / "confirmation.png").exists()


def test_nothing_to_show(tmp_path):
    folder = study_folder(tmp_path, trials=TRIALS[3:])
    with pytest.raises(DataError, match=r"trials\.json: no trial has reported a score yet$"):
        write_report(folder)
    assert not (folder / "report").exists()


def test_no_place_to_write(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(ResourceError, match="taken"):
        write_report(study_folder(tmp_path), tmp_path / "taken")


def test_which_run_is_meant(tmp_path):
    root = tmp_path / "runs"
    first = study_folder(root)
    study_folder(tmp_path / "other")
    shutil.copytree(first, later := first.with_name("2026-01-03-000000"))
    assert find_run(root, "small") == later
    assert find_run(root, f"small/{first.name}") == first
    for name in (
        "large",
        "small/2025",
        "*",
        "../other/small",
        "small/../../other/small",
        str(root),
    ):
        with pytest.raises(SettingsError) as caught:
            find_run(root, name)
        assert str(caught.value) == (
            f"--study: must be a study that has run under {root} (there: small), got {name}"
        )


def test_champion_and_final_sets_have_pictures_beside_their_scores(tmp_path):
    before, after = (summarise(scored_frame([scored_row("q", "en-de", f1)])) for f1 in (25.0, 75.0))
    final = ScoredSet("mlqa/test", label="shared paragraphs")
    drawn = draw_champion(tmp_path / "champion", "small: demo/dev", after, before)
    drawn += draw_final_sets(tmp_path, "small", {final: {"base": before, "champion": after}})
    assert [one.relative_to(tmp_path).as_posix() for one in drawn] == [
        "champion/matrix.png",
        "champion/difference.png",
        "final/mlqa/test/base/matrix.png",
        "final/mlqa/test/champion/matrix.png",
    ]
    assert all(one.stat().st_size > 5000 for one in drawn)
    assert len({one.read_bytes() for one in drawn}) == 4


HOSTILE = '<img src=x onerror="alert(1)"><a href="//x">\'&</script>'


def test_everything_that_is_shown_is_escaped(tmp_path):
    trials = [*TRIALS[:3], {**TRIALS[3], "cause": HOSTILE}]
    study = STUDY.replace("encoder: demo", f"encoder: {json.dumps('hub/' + HOSTILE)}")
    study += f"expected: {{{json.dumps(HOSTILE)}: {{gxlt_f1: 1.0}}}}\n"
    state = {"select": HOSTILE, "verdict": {"alias": "champion", "reason": HOSTILE}}
    champion = [{**one, "id": HOSTILE} for one in CHAMPION]
    folder = study_folder(
        tmp_path / "<b>runs", study=study, trials=trials, state=state, champion=champion
    )
    text = write_report(folder).read_text()
    assert unescape(text).count(HOSTILE) >= 4, "it is shown"
    assert "<img src=x" not in text
    assert "<b>runs" not in text
    assert '//x"' not in text

"""What all commands share: options, refusals on one line, exit codes, progress on a terminal."""

import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from xmrc import command
from xmrc.errors import DataError, SettingsError
from xmrc.search.progress import say


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (None, 0, ""),
        (DataError("qa.json: no such file"), 2, "error: qa.json: no such file\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_exit_codes(raised, code, told, capsys):
    def main():
        if raised is not None:
            raise raised

    ended = 0
    try:
        command.run(main)
    except SystemExit as exit:
        ended = exit.code
    assert (ended, capsys.readouterr().err) == (code, told)


def test_a_defect_of_ours_keeps_its_traceback():
    def main():
        raise KeyError("ours")

    with pytest.raises(KeyError):
        command.run(main)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required: --model"),
        (["--model"], "--model: expected one argument"),
        (["--model", "m", "--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_a_refusal_of_the_parser_is_an_error_like_any_other(arguments, told):
    parser = command.reader_parser("answer", "Answer.")
    with pytest.raises(SettingsError, match=told) as caught:
        parser.parse_args(arguments)
    assert "python -m xmrc.answer --help" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as ended:
        command.reader_parser("answer", "Answer.").parse_args(["--help"])
    assert ended.value.code == 0
    assert "models:/NAME@ALIAS" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "", " ", "²"])
def test_what_is_no_count(text):
    with pytest.raises(Exception, match="at least 1, got"):
        command.count(text)


def test_counts_and_words():
    assert command.count("12") == 12
    assert command.word_list("en, de,zh") == ["en", "de", "zh"]
    for text in ("", "en,", ",en", "en,,de"):
        with pytest.raises(Exception, match="separated by commas"):
            command.word_list(text)


def test_a_line_is_printed_as_it_is(capsys):
    say(Console(width=20), "[bold]a context that is longer than the terminal[/bold] 1.5")
    printed = capsys.readouterr().out
    assert printed == "[bold]a context that is longer than the terminal[/bold] 1.5\n"


PROGRESS = """
from xmrc.command import progress_line
with progress_line("reading qa") as progress:
    for done in range(1, 6):
        progress(done, 5)
print("read")
"""


def test_progress_is_for_terminals_alone():
    quiet = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, text=True)
    assert (quiet.stdout, quiet.stderr) == ("read\n", "")

    ours, theirs = pty.openpty()
    shown = subprocess.run(
        [sys.executable, "-c", PROGRESS],
        stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    written = os.read(ours, 100_000).decode()
    os.close(ours)
    assert shown.stdout == "read\n"
    assert "reading qa" in written
    assert "100%" in written

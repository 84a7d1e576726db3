"""What all commands share: options, refusals on one line, exit codes, progress on a terminal."""

import os
import pty
import shlex
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


def ended(script: str, *arguments: str) -> tuple[int, list[str]]:
    """A process that runs `main` of the script as a command: exit code, standard error."""
    done = subprocess.run(
        [sys.executable, "-c", f"{SIGNALS}\n{script}\ncommand.run(main)", *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


SIGNALS = """
import signal
from pathlib import Path
from xmrc import command
from xmrc.tracking.interrupts import StudyInterruptedError
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
WITHOUT_A_STUDY = """
def main():
    signal.raise_signal({number})
"""
IN_A_STUDY = """
def main():
    parser = command.study_parser("tune", "Search.")
    command.resume_option(parser)
    options = parser.parse_args()
    with command.resumable(parser, options):
        try:
            signal.raise_signal({number})
        except KeyboardInterrupt as interrupt:
            try:
                raise StudyInterruptedError(Path("runs/skd/2030-01-01-000000")) from interrupt
            finally:
                {finally_}
"""


@pytest.mark.parametrize(
    ("number", "word", "code"), [("SIGINT", "interrupted", 130), ("SIGTERM", "terminated", 143)]
)
def test_a_command_without_a_study_ends_by_a_signal(number, word, code):
    assert ended(WITHOUT_A_STUDY.format(number=f"signal.{number}")) == (code, [word])


@pytest.mark.parametrize(
    ("number", "once_more", "given", "run"),
    [
        ("SIGINT", "pass", [], "2030-01-01-000000"),
        ("SIGTERM", "signal.raise_signal(signal.SIGINT)", ["--resume"], "2030-01-01-000000"),
        ("SIGTERM", "pass", ["--resume", "other/skd/2029"], "other/skd/2029"),
    ],
)
def test_a_study_that_has_begun_ends_with_what_resumes_it(number, once_more, given, run):
    typed = ["--space", "my study.yaml", "--set", "search.trials=4", "--set", "a.b=[1, 2]"]
    script = IN_A_STUDY.format(number=f"signal.{number}", finally_=once_more)
    code, (first, last) = ended(script, *typed, *given)
    assert code == {"SIGINT": 130, "SIGTERM": 143}[number]
    assert first.endswith("this goes on with it:")
    assert last == shlex.join(["python", "-m", "xmrc.tune", *typed, "--resume", run])


def test_the_command_that_resumes_tells_no_password():
    script = IN_A_STUDY.format(number="signal.SIGINT", finally_="pass")
    typed = ["--space", "a.yaml", "--set", "tracking.uri=http://me:s3cret pw@host:5000"]
    code, (_, line) = ended(script, *typed)
    assert code == 130
    assert shlex.split(line)[-4:] == [
        "--set", "tracking.uri=http://host:5000", "--resume", "2030-01-01-000000",
    ]  # fmt: skip


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

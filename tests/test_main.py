"""`xmrc VERB`: finds the command of a verb, and imports nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

import xmrc
from xmrc import train
from xmrc.__main__ import VERBS, main

HEAVY = ("torch", "ray", "mlflow", "matplotlib", "pandas")


@pytest.fixture
def ended(monkeypatch, capsys):
    """Run with some arguments: the exit code, and what was printed and said."""

    def run(*arguments, entry=main):
        monkeypatch.setattr(sys, "argv", ["xmrc", *arguments])
        code = 0
        try:
            entry()
        except SystemExit as exit:
            code = exit.code
        return (code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_verb_they_are_listed(ended, arguments):
    code, printed, said = ended(*arguments)
    assert (code, said) == (0, "")
    listed = [line.split(maxsplit=1) for line in printed.splitlines() if line.startswith("  ")]
    assert listed == [list(each) for each in VERBS.items()]


def test_every_command_is_a_verb():
    files = Path(xmrc.__file__).parent.glob("*.py")
    commands = {path.stem for path in files if "command.run(main)" in path.read_text()}
    assert commands == set(VERBS)


def test_a_verb_is_its_module(ended):
    help_of_train = ended("train", "--help")
    assert help_of_train == ended("--help", entry=train.main)
    assert "--space FILE" in help_of_train[1]


def test_a_mistake_behind_the_verb_is_one_line(ended):
    said = "error: nowhere.yaml: cannot be read: No such file or directory\n"
    assert ended("train", "--space", "nowhere.yaml") == (2, "", said)


def test_no_such_verb(ended):
    said = f"error: the verb must be one of {', '.join(VERBS)}, got tone\n"
    assert ended("tone") == (2, "", said)


def test_the_list_takes_no_heavy_import():
    script = "import sys; from xmrc.__main__ import main; sys.argv = ['xmrc']; main()"
    check = f"assert not sys.modules.keys() & {set(HEAVY)}"
    done = subprocess.run([sys.executable, "-c", f"{script}; {check}"], capture_output=True)
    assert done.returncode == 0, done.stderr

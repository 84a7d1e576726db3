"""`python -m xmrc.answer`: ask a reader. In: a question and its context, or a file. Out: answers.

A file has a JSON object a line (question, context, perhaps id); so has what is written, in the same
order (id, answer, score, start, end, nbest; start and end in characters of the context).
"""

import argparse
from pathlib import Path

from rich.console import Console

from xmrc import command
from xmrc.data.questions import check_text, read_questions
from xmrc.errors import ResourceError, SettingsError
from xmrc.files import check_writable
from xmrc.learning.reader import Reader
from xmrc.scoring.evaluation_files import write_answers
from xmrc.search.folder import storage_path
from xmrc.search.progress import say
from xmrc.tracking.readers import find_reader

_SHOWN = 5  # of the n best


def main() -> None:
    """Parse, call, print."""
    options = _parser().parse_args()
    _check_options(options)
    console = Console()
    if options.file is None:
        _answer_one(options, console)
    else:
        _answer_file(options, console)


def _parser() -> argparse.ArgumentParser:
    parser = command.reader_parser("answer", "Answer questions from their contexts.")
    parser.add_argument("--question", metavar="TEXT", help="in any language")
    parser.add_argument("--context", metavar="TEXT", help="where the answer stands")
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help='JSON lines: {"question": ..., "context": ...}'
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the answers to --file go")
    return parser


def _check_options(options: argparse.Namespace) -> None:
    """SettingsError unless there are --question and --context, or --file and --out."""
    given = [
        f"--{name}"
        for name in ("question", "context", "file", "out")
        if getattr(options, name) is not None
    ]
    if given not in (["--question", "--context"], ["--file", "--out"]):
        raise SettingsError(
            "give --question and --context, or --file and --out; "
            f"got {' and '.join(given) or 'none of them'}"
        )


def _answer_one(options: argparse.Namespace, console: Console) -> None:
    question = check_text(options.question, "--question")
    context = check_text(options.context, "--context")
    prediction = _open_reader(options).answer([question], [context])[0]
    if not prediction.nbest:
        say(console, "no answer: the tokenizer finds nothing in this context")
        return
    say(console, f"{prediction.answer} (score {prediction.score:.2f})")
    say(console, "\n score  characters  answer")
    for span in prediction.nbest[:_SHOWN]:
        place = f"{span.start}-{span.end}"
        say(console, f"{span.score:6.2f}  {place:<10}  {span.text}")


def _answer_file(options: argparse.Namespace, console: Console) -> None:
    questions = read_questions(options.file)
    _check_out(options.out, options.file)
    reader = _open_reader(options)
    with command.progress_line(f"reading {options.file.name}") as progress:
        predictions = reader.answer(
            [one.question for one in questions],
            [one.context for one in questions],
            progress=progress,
        )
    write_answers(options.out, [one.label for one in questions], predictions)
    say(console, f"{len(questions)} questions answered, written to {options.out}")


def _check_out(out: Path, file: Path) -> None:
    if out.is_dir():
        raise ResourceError(f"--out: must be a file, and {out} is a folder")
    if out.exists() and out.samefile(file):
        raise SettingsError(f"--out: must be another file than that of the questions, got {out}")
    check_writable(out.parent)


def _open_reader(options: argparse.Namespace) -> Reader:
    storage = storage_path(options.storage)
    folder = find_reader(options.model, storage=storage, tracking_uri=options.tracking_uri)
    return Reader(str(folder))


if __name__ == "__main__":
    command.run(main)

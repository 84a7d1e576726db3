"""`python -m xmrc.tune`: search a study's settings. In: a study file. Out: a registered reader."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from xmrc import command
from xmrc.scoring.reader_tables import gxlt_table
from xmrc.search.plan import print_plan
from xmrc.search.progress import say, trials_table
from xmrc.search.rehearsal import rehearsal
from xmrc.selection.champion import Champion
from xmrc.selection.contender_tables import contenders_table, differences_table
from xmrc.settings import DataSettings, load_study
from xmrc.settings.load import DATA_ROOT
from xmrc.study import Outcome, run_study
from xmrc.tables import Table, as_terminal

_FEW = 3  # lines on what was not written
_SHOWN = ("gxlt_f1", "gxlt_em", "xlt_f1", "xlt_em")


def main() -> None:
    """Parse, call, print."""
    parser = command.study_parser("tune", "Search the settings of a study; register the best.")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and stop")
    command.resume_option(parser)
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="try the study out in a minute or two: embedded corpus, at most 3 short trials",
    )
    options = parser.parse_args()
    study = load_study(options.space, options.overrides)
    if options.rehearse:
        study = rehearsal(study)
    console = Console()
    if options.plan:
        print_plan(study, console)
        return
    with command.resumable(parser, options):
        outcome = run_study(study, resume=options.resume, console=console)
    print_outcome(outcome, console)


def print_outcome(outcome: Outcome, console: Console) -> None:
    """The trials, the champion's table, one answer of it, and what to do next."""
    champion = outcome.champion
    for table in _tables(outcome):
        console.print(as_terminal(table))
    _print_comparison(outcome, console)
    _print_finals(outcome, console)
    _print_answer(champion, console)
    _print_next(outcome, console)
    _print_missing(outcome, console)


def _tables(outcome: Outcome) -> Iterator[Table]:
    """The trials, the contenders of a confirmation, the champion's scores."""
    metric, found = outcome.ledger.metric, outcome.contenders
    yield trials_table(outcome.ledger.table, metric)
    if found:
        yield contenders_table(found, metric)
    if len(found) > 1:
        yield differences_table(found, metric)
    title = f"the champion on {outcome.select}, F1"
    yield gxlt_table(outcome.champion.reading.scores, title=title)


def _print_comparison(outcome: Outcome, console: Console) -> None:
    """Base and champion, side by side, on the selection set."""
    before, after = outcome.start.metrics, outcome.champion.reading.scores.metrics
    for name in (one for one in _SHOWN if one.endswith("_f1") and one in before):
        say(console, f"{name}: {_base_and_champion(before[name], after[name])}")
    registered = outcome.registration
    if registered is None:
        say(console, "registered: nothing yet; promotion is decided when the study is sent")
        return
    trial = outcome.champion.trial.number
    say(console, f"registered: {registered.model} is version {registered.version} (trial {trial})")
    say(console, f"promotion: {registered.verdict.reason}")


def _print_finals(outcome: Outcome, console: Console) -> None:
    """Every final set: the champion's table, and base and champion side by side."""
    for final, by_reader in outcome.finals.items():
        title = f"final: {final.title}"
        for metric, name in (("f1", "F1"), ("em", "EM")):
            table = gxlt_table(by_reader["champion"], metric, f"{title}, {name}")
            console.print(as_terminal(table))
        before, after = (by_reader[name].metrics for name in ("base", "champion"))
        for name in (one for one in _SHOWN if one in before):
            say(console, f"{title}, {name}: {_base_and_champion(before[name], after[name])}")


def _base_and_champion(base: float, champion: float) -> str:
    return f"base {base:.1f}, champion {champion:.1f} ({champion - base:+.1f})"


def _print_answer(champion: Champion, console: Console) -> None:
    """A question that was answered across languages."""
    shown = champion.shown
    asked, told = shown.question_language, shown.context_language
    say(console, f"\nasked in {asked}, told in {told}:")
    say(console, f"  context:  {shown.context}")
    say(console, f"  question: {shown.question}")
    say(console, f"  answer:   {shown.answer} (score {shown.score:.2f})")


def _print_next(outcome: Outcome, console: Console) -> None:
    """The commands that a user may want now."""
    shown, data = outcome.champion.shown, outcome.study.settings.data
    registered, folder = outcome.registration, outcome.champion.model
    named = registered.model if registered else str(folder)
    model = ["--model", named, *_elsewhere(outcome)]
    asked = ["--question", shown.question, "--context", shown.context]
    say(console, "\nnext:")
    say(console, f"  {outcome.view}")
    for command_line in (
        ["python", "-m", "xmrc.evaluate", *model, *_corpus_options(data), "--out", "evaluation"],
        ["python", "-m", "xmrc.answer", *model, *asked],
    ):
        say(console, f"  {shlex.join(command_line)}")


def _print_missing(outcome: Outcome, console: Console) -> None:
    """What MLflow lacks, and the command that sends it there, or to another server."""
    if outcome.registration is not None and not outcome.unwritten:
        return
    for missing in outcome.unwritten[:_FEW]:
        say(console, f"not written to MLflow: {missing}")
    if len(outcome.unwritten) > _FEW:
        say(console, f"not written to MLflow: {len(outcome.unwritten) - _FEW} more of that kind")
    run = f"{outcome.study.name}/{outcome.folder.name}"
    command_line = ["python", "-m", "xmrc.report", "--upload", run, *_elsewhere(outcome)]
    say(console, f"everything is kept in {outcome.folder}; once MLflow answers, send it there with")
    say(console, f"  {shlex.join(command_line)}")


def _elsewhere(outcome: Outcome) -> list[str]:
    """What the next command must be told where storage and tracking are not the default ones."""
    root, uri = outcome.folder.parents[1], outcome.study.tracking.uri
    storage = [] if root == Path.cwd() / "runs" else ["--storage", str(root)]
    return storage + ([] if uri is None else ["--tracking-uri", uri])


def _corpus_options(data: DataSettings) -> list[str]:
    """The corpus that selected, and its folder where the environment does not name it."""
    known = data.root is None or str(data.root) == os.environ.get(DATA_ROOT)
    return ["--corpus", data.select, *([] if known else ["--data-root", str(data.root)])]


if __name__ == "__main__":
    command.run(main)

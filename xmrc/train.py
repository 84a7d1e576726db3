"""`python -m xmrc.train`: a study's settings, once. In: a study file. Out: a registered reader."""

from rich.console import Console

from xmrc import command
from xmrc.settings import load_study
from xmrc.study import run_study
from xmrc.tune import print_outcome


def main() -> None:
    """Take the space away, keep one trial, and do as the search does."""
    parser = command.study_parser("train", "Train a study's settings once; nothing is searched.")
    command.resume_option(parser)
    options = parser.parse_args()
    alone = ["space=null", "search.trials=1", "search.start_from=[]", "search.scheduler=none"]
    alone += ["search.confirm=null", "promotion={}"]
    study = load_study(options.space, [*options.overrides, *alone])
    study = study.model_copy(update={"name": f"{study.name}-train"})
    console = Console()
    with command.resumable(parser, options):
        outcome = run_study(study, resume=options.resume, console=console)
    print_outcome(outcome, console)


if __name__ == "__main__":
    command.run(main)

"""`xmrc VERB ...`: the same as `python -m xmrc.VERB ...`. In: a verb. Out: what its command does.

Only the module of the verb is imported, as most of them take seconds.
"""

import sys
from importlib import import_module

from xmrc import command
from xmrc.errors import SettingsError

VERBS = {
    "tune": "search the settings of a study; register the best reader",
    "train": "train a study's settings once; nothing is searched",
    "evaluate": "score a reader on a corpus, across languages",
    "answer": "answer questions with a reader",
    "compare": "compare readers over the same questions",
    "report": "show a study on one page",
}


def main() -> None:
    """Run the command that is named, or list all of them."""
    command.run(_main)


def _main() -> None:
    verb, *options = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help"):
        print("usage: xmrc VERB [options]; xmrc VERB --help says which\n")
        print("\n".join(f"  {verb:<9} {does}" for verb, does in VERBS.items()))
        return
    if verb not in VERBS:
        raise SettingsError(f"the verb must be one of {', '.join(VERBS)}, got {verb}")
    sys.argv = [f"xmrc {verb}", *options]
    import_module(f"xmrc.{verb}").main()


if __name__ == "__main__":
    main()

"""The final sets in a study's folder: `final/CORPUS/champion` and `base`. In: it. Out: readings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmrc.scoring.predictions import ExampleScore
from xmrc.scoring.score_tables import EXAMPLES, read_examples
from xmrc.search.folder import CHAMPION, FINAL
from xmrc.tracking.names import key_of

BASE = "base"  # the reader that the trials start from
LABELS = "labels.json"  # for each corpus how it overlaps with training; "" where it does not


@dataclass(frozen=True)
class FinalSet:
    """What each reader, by its name, made of a corpus that no choice has seen."""

    corpus: str
    label: str
    readings: Mapping[str, Sequence[ExampleScore]]

    @property
    def title(self) -> str:
        """`mlqa/test (shared paragraphs)`."""
        return titled(self.corpus, self.label)


def read_finals(folder: Path) -> list[FinalSet]:
    """The final sets of a study, in its order; none before all of them were scored."""
    file = folder / FINAL / LABELS
    labels = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return [
        FinalSet(
            corpus,
            label,
            {
                reader: read_examples(folder / final_folder(corpus, reader) / EXAMPLES)
                for reader in (BASE, CHAMPION)
            },
        )
        for corpus, label in labels.items()
    ]


def final_folder(corpus: str, reader: str) -> str:
    """Where the files of a reader's scores go, below the folder of a study."""
    return f"{FINAL}/{key_of(corpus)}/{reader}"


def titled(corpus: str, label: str) -> str:
    """A corpus and, in brackets, how it overlaps with training."""
    return f"{corpus} ({label})" if label else corpus

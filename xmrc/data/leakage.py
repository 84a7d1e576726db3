"""What a reader was trained on and is scored on too. In: examples. Out: what is kept, or an error.

Two examples overlap where they have the same question id, which is the same question in whatever
language, or the same context but for case, punctuation and white space.
"""

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmrc.data.examples import Example
from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError

SHARED_PARAGRAPHS = "shared paragraphs"  # trained on in other languages
OVERLAP = "overlaps training"  # and was allowed to
_FOOTPRINT = "trained_on.json"  # beside the weights
_SHOWN = 3  # overlapping questions that an error names


@dataclass(frozen=True)
class Footprint:
    """What is known of examples once they were trained on: hashes of ids and normalised contexts.

    Small enough to stay beside the weights of a reader (`write`), so that scores on what it was
    trained on say so wherever it goes.
    """

    ids: frozenset[int] = frozenset()
    contexts: frozenset[int] = frozenset()
    languages: frozenset[str] = frozenset()

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "Footprint":
        examples = list(examples)
        return cls(
            frozenset(_digest(each.id) for each in examples),
            frozenset(map(_digest, {*_normalised(examples).values()} - {""})),
            frozenset(
                language
                for each in examples
                for language in (each.question_language, each.context_language)
            ),
        )

    @classmethod
    def read(cls, folder: Path) -> "Footprint":
        """That of the reader in a folder; empty where it does not say. DataError: not ours."""
        file = folder / _FOOTPRINT
        if not file.is_file():
            return cls()
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            ids, contexts = (frozenset(_unpacked(kept[name])) for name in ("ids", "contexts"))
            return cls(ids, contexts, frozenset(map(str, kept["languages"])))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{file}: must have ids, contexts and languages") from error

    def write(self, folder: Path) -> None:
        """Beside the weights of a reader."""
        hashes = {"ids": _packed(self.ids), "contexts": _packed(self.contexts)}
        text = json.dumps({**hashes, "languages": sorted(self.languages)})
        (folder / _FOOTPRINT).write_text(text, encoding="utf-8")

    def __or__(self, other: "Footprint") -> "Footprint":
        return Footprint(
            self.ids | other.ids, self.contexts | other.contexts, self.languages | other.languages
        )

    def has_id_of(self, example: Example) -> bool:
        return _digest(example.id) in self.ids

    def overlapping(self, examples: Sequence[Example]) -> list[Example]:
        """The examples with an id or a context of these, in their order."""
        contexts = _normalised(examples)
        return [
            each
            for each in examples
            if self.has_id_of(each) or _digest(contexts[each.context]) in self.contexts
        ]

    def label(self, examples: Sequence[Example]) -> str:
        """How scores on examples must be labelled: empty, `SHARED_PARAGRAPHS` or `OVERLAP`."""
        shared = self.overlapping(examples)
        if not shared:
            return ""
        return SHARED_PARAGRAPHS if all(map(self.in_other_languages, shared)) else OVERLAP

    def in_other_languages(self, example: Example) -> bool:
        """Whether neither language of the example is one of these: XQuAD's Greek after German."""
        return not {example.question_language, example.context_language} & self.languages


def normalised_context(text: str) -> str:
    """The letters and digits of a context, in one case and one form of each."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def check_leakage(
    corpus: str, training: Sequence[Example], scored: Sequence[ScoredSet], *, allow_overlap: bool
) -> list[str]:
    """A label for the scores on each set: empty, or how it overlaps with training and may.

    A final set may, if it is in languages that training does not have (`SHARED_PARAGRAPHS`); with
    `allow_overlap` every set may (`OVERLAP`).

    Raises DataError (setting, rule, count, three questions): any other overlap.
    """
    trained, labels = Footprint.of(training), []
    for one in scored:
        label = trained.label(one.examples)
        if label == SHARED_PARAGRAPHS and one.role != "final":
            label = OVERLAP
        if label == OVERLAP and not allow_overlap:
            raise DataError(_refusal(one, corpus, trained))
        labels.append(label)
    return labels


def check_unseen(select: ScoredSet, unseen: Sequence[ScoredSet], *, allow_overlap: bool) -> None:
    """Raise DataError where a set that the search must not see has questions that it selects by.

    By question id alone: other questions about a paragraph are other questions.
    """
    seen = {each.id for each in select.examples}
    for one in unseen:
        shared = sorted({each.id for each in one.examples} & seen)
        if shared and not allow_overlap:
            shown = ", ".join(map(repr, shared[:_SHOWN]))
            raise DataError(
                f"{one.setting}: {one.name} must share no question id with {select.name} "
                f"({select.setting}), by which the search selects: {len(shared)} ids do, such as "
                f"{shown}; settings.data.allow_overlap: true lets them"
            )


def drop_overlap(
    base: Sequence[Example], scored: Sequence[ScoredSet]
) -> tuple[list[Example], list[Example]]:
    """The base's examples that overlap with no set that is scored, and those that were dropped.

    Raises DataError: none is left.
    """
    seen = Footprint.of(each for one in scored for each in one.examples)
    dropped = seen.overlapping(base)
    gone = set(dropped)
    kept = [each for each in base if each not in gone]
    if base and not kept:
        keys = ", ".join(one.setting for one in scored)
        raise DataError(
            f"settings.base.corpus: all of its {len(base)} examples overlap with what is scored "
            f"({keys}), so nothing is left to train the base on"
        )
    return kept, dropped


def held_out(
    examples: Sequence[Example], share: float = 0.3
) -> tuple[list[Example], list[Example]]:
    """The examples of a share of the question ids, kept aside, and the rest; each in their order.

    Whether an id is kept aside depends on its hash alone, not on the other ids, its languages or
    a limit (which takes ids by another hash); but neither part is empty.

    Raises DataError: fewer than two ids.
    """
    ids = sorted({each.id for each in examples}, key=_place)
    if len(ids) < 2:
        raise DataError(
            f"promotion.on: null keeps a part of the selection set's question ids aside, which "
            f"needs at least 2 ids, not {len(ids)}"
        )
    count = sum(_place(id) < share for id in ids)
    aside = set(ids[: min(max(count, 1), len(ids) - 1)])
    return (
        [each for each in examples if each.id in aside],
        [each for each in examples if each.id not in aside],
    )


def _place(question_id: str) -> float:
    """A place in [0, 1) for each id, the same on every machine."""
    digest = hashlib.blake2b(question_id.encode(), digest_size=8, person=b"held out").digest()
    return int.from_bytes(digest) / 2**64


def _normalised(examples: Iterable[Example]) -> Mapping[str, str]:
    """Each distinct context, normalised once."""
    return {context: normalised_context(context) for context in {one.context for one in examples}}


def _digest(text: str) -> int:
    """64 bits, the same on every machine."""
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _packed(hashes: frozenset[int]) -> str:
    return base64.b64encode(np.array(sorted(hashes), "<u8").tobytes()).decode()


def _unpacked(text: str) -> list[int]:
    return list(np.frombuffer(base64.b64decode(text, validate=True), "<u8").tolist())


def _refusal(one: ScoredSet, corpus: str, trained: Footprint) -> str:
    shared = trained.overlapping(one.examples)
    first: dict[str, Example] = {}
    for each in shared:
        first.setdefault(each.id, each)
    shown = ", ".join(
        f"{each.id!r} ({each.question_language}-{each.context_language}, "
        f"the same {'question id' if trained.has_id_of(each) else 'context'})"
        for each in list(first.values())[:_SHOWN]
    )
    return (
        f"{one.setting}: {one.name} must share no question id and no context with {corpus}, which "
        f"is trained on: {len(shared)} of {len(one.examples)} examples do, such as {shown}; "
        "settings.data.allow_overlap: true lets them"
    )

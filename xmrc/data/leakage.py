"""What a reader was trained on and is scored on too. In: examples. Out: what is kept, or an error.

Two examples overlap where they have the same question id, which is the same question in whatever
language, or the same context but for case, punctuation and white space.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmrc.data.examples import Example
from xmrc.errors import DataError

SHARED_PARAGRAPHS = "shared paragraphs"  # trained on in other languages
OVERLAP = "overlaps training"  # and was allowed to
SHOWN = 3  # overlapping questions that an error names


@dataclass(frozen=True)
class ScoredSet:
    """Examples that readers are scored on. `key`: the setting that names the corpus.

    final: nothing is chosen by these scores, they are shown alone.
    """

    key: str
    corpus: str
    examples: Sequence[Example]
    final: bool = False


@dataclass(frozen=True)
class Footprint:
    """What is known of examples once they were trained on."""

    ids: frozenset[str]
    contexts: frozenset[str]  # normalised
    languages: frozenset[str]

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "Footprint":
        examples = list(examples)
        return cls(
            frozenset(each.id for each in examples),
            frozenset(_normalised(examples).values()) - {""},
            frozenset(
                language
                for each in examples
                for language in (each.question_language, each.context_language)
            ),
        )

    def overlapping(self, examples: Sequence[Example]) -> list[Example]:
        """The examples with an id or a context of these, in their order."""
        contexts = _normalised(examples)
        return [
            each
            for each in examples
            if each.id in self.ids or contexts[each.context] in self.contexts
        ]

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
        shared = trained.overlapping(one.examples)
        translated = one.final and all(map(trained.in_other_languages, shared))
        if shared and not (translated or allow_overlap):
            raise DataError(_refusal(one, shared, corpus, trained))
        labels.append("" if not shared else SHARED_PARAGRAPHS if translated else OVERLAP)
    return labels


def check_unseen(select: ScoredSet, unseen: Sequence[ScoredSet], *, allow_overlap: bool) -> None:
    """Raise DataError where a set that the search must not see has questions that it selects by.

    By question id alone: other questions about a paragraph are other questions.
    """
    seen = {each.id for each in select.examples}
    for one in unseen:
        shared = sorted({each.id for each in one.examples} & seen)
        if shared and not allow_overlap:
            shown = ", ".join(map(repr, shared[:SHOWN]))
            raise DataError(
                f"{one.key}: {one.corpus} must share no question id with {select.corpus} "
                f"({select.key}), by which the search selects: {len(shared)} ids do, such as "
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
        keys = ", ".join(one.key for one in scored)
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


def _refusal(one: ScoredSet, shared: Sequence[Example], corpus: str, trained: Footprint) -> str:
    first: dict[str, Example] = {}
    for each in shared:
        first.setdefault(each.id, each)
    shown = ", ".join(
        f"{each.id!r} ({each.question_language}-{each.context_language}, "
        f"the same {'question id' if each.id in trained.ids else 'context'})"
        for each in list(first.values())[:SHOWN]
    )
    return (
        f"{one.key}: {one.corpus} must share no question id and no context with {corpus}, which is "
        f"trained on: {len(shared)} of {len(one.examples)} examples do, such as {shown}; "
        "settings.data.allow_overlap: true lets them"
    )

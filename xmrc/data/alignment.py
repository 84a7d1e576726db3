"""Join by question id. In: a corpus's examples. Out: `ParallelQuestion`s, or what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xmrc.data.examples import Example
from xmrc.errors import DataError


@dataclass(frozen=True)
class ParallelQuestion:
    """The same question, with its context and answers, in several languages."""

    id: str
    by_language: Mapping[str, Example]

    def pair(self, question_language: str, context_language: str) -> Example:
        """The question in one language over the context, and answers, in another."""
        asked = self.by_language[question_language]
        return replace(
            self.by_language[context_language],
            question=asked.question,
            question_language=question_language,
        )


def align(
    corpus_name: str, examples: Sequence[Example], languages: Sequence[str]
) -> list[ParallelQuestion]:
    """Join the examples whose question and context are both in the same one of `languages`.

    The questions come in the order of their ids. Examples across two languages (MLQA's) are left
    out: `ParallelQuestion.pair` makes them.

    Raises DataError (corpus, rule, value): a language without questions, an id twice in a language,
    no id that two languages share, or ids that some language lacks.
    """
    by_id: dict[str, dict[str, Example]] = {}
    for each in examples:
        if (
            each.question_language != each.context_language
            or each.context_language not in languages
        ):
            continue
        by_language = by_id.setdefault(each.id, {})
        if each.context_language in by_language:
            raise DataError(
                f"corpus {corpus_name!r}: a question id must stand once in a language: "
                f"{each.id!r} stands twice in {each.context_language!r}"
            )
        by_language[each.context_language] = each
    _check_aligned(corpus_name, by_id, languages)
    return [
        ParallelQuestion(id, {language: by_id[id][language] for language in languages})
        for id in sorted(by_id)
    ]


def _check_aligned(
    corpus_name: str, by_id: Mapping[str, Mapping[str, Example]], languages: Sequence[str]
) -> None:
    counts = Counter(language for by_language in by_id.values() for language in by_language)
    empty = [language for language in languages if not counts[language]]
    if empty:
        raise DataError(f"corpus {corpus_name!r} has no question and context in {empty[0]!r}")
    lacking = {
        id: [language for language in languages if language not in by_id[id]]
        for id in sorted(by_id)
    }
    short = {id: absent for id, absent in lacking.items() if absent}
    if not short:
        return
    if all(len(by_language) == 1 for by_language in by_id.values()):
        raise DataError(
            f"corpus {corpus_name!r} is not parallel: no question id is shared by any two of "
            f"{', '.join(languages)}"
        )
    first, absent = next(iter(short.items()))
    raise DataError(
        f"corpus {corpus_name!r} is not aligned over {', '.join(languages)}: {len(short)} of "
        f"{len(by_id)} question ids lack a language, first {first!r} (not in {', '.join(absent)})"
    )


def every_pair(
    corpus_name: str, examples: Sequence[Example], languages: Sequence[str]
) -> list[Example]:
    """A parallel corpus read across languages: each question over its context in each language.

    Where pairs across languages come with the corpus (MLQA), those are the ones: the examples are
    returned as they are.
    """
    if any(each.question_language != each.context_language for each in examples):
        return list(examples)
    return [
        question.pair(asked_in, told_in)
        for question in align(corpus_name, examples, languages)
        for asked_in in languages
        for told_in in languages
    ]

"""Questions over contexts. In: SQuAD-format JSON. Out: `Example`s, or an exact error."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A gold answer: its text and the character of the context where it starts."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question over one context, each in its own language. No `answers`: a blind set."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    question_language: str
    context_language: str

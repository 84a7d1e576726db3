"""Corpora on the Hugging Face hub. In: repository, configuration, split. Out: `Example`s."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xmrc.data.examples import Example, check_examples, gold_answers
from xmrc.errors import DataError


@dataclass(frozen=True)
class HubSource:
    """Where a corpus is on the hub; {question} and {context} in `config` stand for languages."""

    repo: str
    config: str
    split: str


def read_hub(
    source: HubSource, question_language: str, context_language: str, *, strict: bool = True
) -> list[Example]:
    """One configuration of a dataset with SQuAD's columns, or a DataError that says why not."""
    config = source.config.format(question=question_language, context=context_language)
    name = f"{source.repo} ({config}, {source.split})"
    examples = [
        Example(
            row["id"],
            row["question"],
            row["context"],
            gold_answers(row["answers"]["text"], row["answers"]["answer_start"]),
            question_language,
            context_language,
        )
        for row in _rows(source.repo, config, source.split, name)
    ]
    check_examples(examples, name, unique_ids=True, strict=strict)
    return examples


def _rows(repo: str, config: str, split: str, name: str) -> list[dict]:
    try:
        from datasets import load_dataset

        with _quiet_libraries():
            return load_dataset(repo, config, split=split).to_list()
    except Exception as error:  # no common parent: offline, no such dataset, HTTP, a broken cache
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"the Hugging Face hub did not give {name}: {type(error).__name__}: {reason}"
        ) from error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """No progress bars (MLQA has 49 configurations) and no line for every try to connect."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging

    verbosity, had_bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            enable_progress_bars()

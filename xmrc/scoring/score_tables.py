"""An evaluation as tidy tables, one fact a row. In: scores of examples. Out: Parquet and CSV.

examples.parquet  every example, which is what `python -m xmrc.compare` reads
pairs.csv         every language pair: the G-XLT table, top k, what its gap is
languages.csv     every language as that of the questions and of the contexts
ranks.csv         where the first right answers stand, by question language
lengths.csv       by tokens of the gold answer
windows.csv       by windows that the context was read in, where that is known

Scores and shares are 0 to 100. A macro score is the mean over language pairs, any other the mean
over examples.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xmrc.errors import DataError
from xmrc.files import replacing
from xmrc.scoring.diagnosis import diagnose
from xmrc.scoring.gxlt import TOP_K
from xmrc.scoring.predictions import ExampleScore, rank_histogram

EXAMPLES = "examples.parquet"
TABLES = (EXAMPLES, "pairs.csv", "languages.csv", "ranks.csv", "lengths.csv", "windows.csv")

SCORES = ("f1", "em", "squad_f1", "squad_em")
_LABEL = "xmrc.overlap"  # among the metadata of EXAMPLES
_ANY = sys.maxsize
_LENGTHS = ((0, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, _ANY))  # tokens, from and to
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question_language", pa.dictionary(pa.int32(), pa.string())),
        ("context_language", pa.dictionary(pa.int32(), pa.string())),
        *((name, pa.float64()) for name in SCORES),  # 0 to 100
        ("right_rank", pa.int32()),  # null: no right answer among the n best
        ("answer_length", pa.int32()),  # tokens, as F1 counts them
        ("windows", pa.int32()),  # null: not known
    ]
)

_Rows = Iterable[Mapping[str, Any]]


def write_tables(folder: Path, example_scores: Sequence[ExampleScore], label: str = "") -> None:
    """Write TABLES into a folder; windows.csv only where the windows are known.

    `label`: how the examples overlap with what the reader was trained on.
    """
    _write_examples(folder / EXAMPLES, example_scores, label)
    _write_csv(folder / "pairs.csv", pair_rows(example_scores))
    _write_csv(folder / "languages.csv", _language_rows(example_scores))
    _write_csv(folder / "ranks.csv", _rank_rows(example_scores))
    _write_csv(folder / "lengths.csv", _length_rows(example_scores))
    if all(one.windows is not None for one in example_scores):
        _write_csv(folder / "windows.csv", _window_rows(example_scores))


def _write_examples(path: Path, example_scores: Sequence[ExampleScore], label: str = "") -> None:
    """The scores of every example, in their order, and the label that they must carry."""
    columns = {
        name: [getattr(one, name) for one in example_scores]
        for name in _SCHEMA.names
        if name not in SCORES
    }
    columns |= {name: [100 * getattr(one, name) for one in example_scores] for name in SCORES}
    with replacing(path) as partial:
        pq.write_table(pa.table(columns, schema=_SCHEMA.with_metadata({_LABEL: label})), partial)


def read_label(path: Path) -> str:
    """The label of what `_write_examples` wrote; empty where there is no overlap."""
    metadata = pq.read_schema(path).metadata or {}
    return str(metadata.get(_LABEL.encode(), b"").decode())


def read_examples(path: Path) -> list[ExampleScore]:
    """What `_write_examples` wrote. DataError: no such file, or not one of ours."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: must be a table of example scores: {reason}") from error
    if table.schema.names != _SCHEMA.names:
        found = ", ".join(table.schema.names)
        raise DataError(f"{path}: must have the columns {', '.join(_SCHEMA.names)}, not {found}")
    shares = {name: [value / 100 for value in table[name].to_pylist()] for name in SCORES}
    columns = {name: table[name].to_pylist() for name in _SCHEMA.names} | shares
    rows = zip(*columns.values(), strict=True)
    return [ExampleScore(**dict(zip(columns, row, strict=True))) for row in rows]


def pair_means(example_scores: Sequence[ExampleScore]) -> _Rows:
    """The G-XLT table in long form: n, f1, em, squad_f1 and squad_em of each language pair."""
    for pair, group in _grouped(example_scores, _pair).items():
        yield {"question_language": pair[0], "context_language": pair[1], **_means(group)}


def pair_rows(example_scores: Sequence[ExampleScore]) -> _Rows:
    """`pair_means` and top_k: right among so many, top_n: among all n best; and the gap."""
    gaps = {(gap.question_language, gap.context_language): gap for gap in diagnose(example_scores)}
    groups = _grouped(example_scores, _pair)
    for row, (pair, group) in zip(pair_means(example_scores), groups.items(), strict=True):
        yield {
            **row,
            **{f"top_{k}": _within(group, k) for k in TOP_K},
            "top_n": _within(group, _ANY),
            "gap": gaps[pair].kind,
        }


def _language_rows(example_scores: Sequence[ExampleScore]) -> _Rows:
    """Macro scores of each language, first as that of the question and then of the context."""
    means = {pair: _means(group) for pair, group in _grouped(example_scores, _pair).items()}
    for place, side in enumerate(("question", "context")):
        for language in dict.fromkeys(pair[place] for pair in means):
            these = [mean for pair, mean in means.items() if pair[place] == language]
            macro = {name: fmean(mean[name] for mean in these) for name in SCORES}
            total = sum(mean["n"] for mean in these)
            yield {"side": side, "language": language, "pairs": len(these), "n": total, **macro}


def _rank_rows(example_scores: Sequence[ExampleScore]) -> _Rows:
    """Carrino et al. 2023 (arXiv 2309.17134), table 1, in long form."""
    for language, counts in rank_histogram(example_scores).items():
        for rank, count in enumerate(counts, 1):
            yield {"question_language": language, "rank": rank, "count": count}


def _length_rows(example_scores: Sequence[ExampleScore]) -> _Rows:
    """Scores by context language and length of the gold answer."""
    for language, group in _grouped(example_scores, lambda one: one.context_language).items():
        lengths = _grouped(group, lambda one: _length(one.answer_length))
        for (least, most), these in sorted(lengths.items()):
            tokens = (
                f"{least}+" if most == _ANY else str(least) if least == most else f"{least}-{most}"
            )
            yield {"context_language": language, "tokens": tokens, **_means(these)}


def _window_rows(example_scores: Sequence[ExampleScore]) -> _Rows:
    """Scores by context language and number of windows."""
    for language, group in _grouped(example_scores, lambda one: one.context_language).items():
        for windows, these in sorted(_grouped(group, lambda one: one.windows).items()):
            yield {"context_language": language, "windows": windows, **_means(these)}


def _pair(one: ExampleScore) -> tuple[str, str]:
    return one.question_language, one.context_language


def _length(tokens: int) -> tuple[int, int]:
    return next((least, most) for least, most in _LENGTHS if tokens <= most)


def _grouped(
    example_scores: Iterable[ExampleScore], key: Callable[[ExampleScore], Any]
) -> dict[Any, list[ExampleScore]]:
    """The examples of each value of `key`, in the order in which they come."""
    groups: dict[Any, list[ExampleScore]] = {}
    for one in example_scores:
        groups.setdefault(key(one), []).append(one)
    return groups


def _means(group: Sequence[ExampleScore]) -> dict[str, Any]:
    means = {name: 100 * fmean(getattr(one, name) for one in group) for name in SCORES}
    return {"n": len(group), **means}


def _within(group: Sequence[ExampleScore], k: int) -> float:
    return 100 * fmean(one.right_rank is not None and one.right_rank <= k for one in group)


def _write_csv(path: Path, rows: _Rows) -> None:
    rows = list(rows)
    with replacing(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)

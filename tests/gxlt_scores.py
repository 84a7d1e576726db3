"""Scores of examples and of language pairs, written by hand; all 0 to 100."""

import pandas as pd

from xmrc.scoring.gxlt import GxltScores

COLUMNS = ["question_language", "context_language", "n", "f1", "em"]


def scored_row(id, pair, f1=0.0, em=0.0, *, rank=None, length=2, windows=None):
    """A row for `scored_frame`; `pair` is "question-context", the SQuAD rules say the same."""
    question, context = pair.split("-")
    return {
        "id": id,
        "question_language": question,
        "context_language": context,
        "f1": f1,
        "em": em,
        "squad_f1": f1,
        "squad_em": em,
        "right_rank": rank,
        "answer_length": length,
        "windows": windows,
    }


def gxlt_scores(pairs, metrics=()):
    """`pairs` by "question-context": F1, EM and the number of examples."""
    rows = [(*name.split("-"), n, f1, em) for name, (f1, em, n) in pairs.items()]
    return GxltScores(pd.DataFrame(rows, columns=COLUMNS), dict(metrics))


def column_of(scores, name):
    """A column of the pairs, by "question-context"."""
    rows = zip(*(scores.pairs[one] for one in (*COLUMNS[:2], name)), strict=True)
    return {f"{question}-{context}": value for question, context, value in rows}

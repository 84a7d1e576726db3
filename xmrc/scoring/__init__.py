"""What answers are worth. In: examples and predictions. Out: one frame of scores, and its means.

Scores of a single answer are 0 to 1, those of frames, tables and files 0 to 100.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "AnswerSpan": "xmrc.scoring.spans",
    "Comparison": "xmrc.scoring.statistics",
    "GxltScores": "xmrc.scoring.gxlt",
    "Prediction": "xmrc.scoring.predictions",
    "average_precision": "xmrc.scoring.ranking",
    "best_spans": "xmrc.scoring.spans",
    "compare_examples": "xmrc.scoring.statistics",
    "compare_seeds": "xmrc.scoring.statistics",
    "diagnose": "xmrc.scoring.score_tables",
    "exact_match": "xmrc.scoring.metrics",
    "f1": "xmrc.scoring.metrics",
    "first_hit": "xmrc.scoring.ranking",
    "gxlt_table": "xmrc.scoring.reader_tables",
    "holm": "xmrc.scoring.statistics",
    "read_examples": "xmrc.scoring.evaluation_files",
    "read_scores": "xmrc.scoring.evaluation_files",
    "score": "xmrc.scoring.gxlt",
    "score_examples": "xmrc.scoring.predictions",
    "squad_em": "xmrc.scoring.metrics",
    "squad_f1": "xmrc.scoring.metrics",
    "summarise": "xmrc.scoring.gxlt",
    "write_matrix": "xmrc.scoring.evaluation_files",
    "write_predictions": "xmrc.scoring.evaluation_files",
    "write_scores": "xmrc.scoring.evaluation_files",
    "write_tables": "xmrc.scoring.evaluation_files",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

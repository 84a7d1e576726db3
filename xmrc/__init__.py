"""xmrc finds and trains the best cross-lingual reader for a few-resource setting.

In: a study file (YAML) that says what is fixed and what is searched. Out: a registered model.
The libraries below send usage statistics by default; here only where the user asked for it. Under
`uv run` Ray would start every process of a cluster through uv, which looks for the project again.
"""

import os

from xmrc._lazy import lazy_names

for _switch, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # read when Ray is imported
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # its C++ trace at SIGTERM, with no end to the study
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_switch, _value)

_HOMES = {
    "Answer": "xmrc.data",
    "Corpus": "xmrc.data",
    "DataError": "xmrc.errors",
    "Example": "xmrc.data",
    "Outcome": "xmrc.study",
    "Prediction": "xmrc.scoring",
    "Reader": "xmrc.learning.reader",
    "ResourceError": "xmrc.errors",
    "RunSettings": "xmrc.settings",
    "Section": "xmrc.settings",
    "SettingsError": "xmrc.errors",
    "SpanLoss": "xmrc.learning.terms",
    "Study": "xmrc.settings",
    "Table": "xmrc.tables",
    "Term": "xmrc.learning.terms",
    "XmrcError": "xmrc.errors",
    "as_csv": "xmrc.tables",
    "as_html": "xmrc.tables",
    "as_latex": "xmrc.tables",
    "as_markdown": "xmrc.tables",
    "as_terminal": "xmrc.tables",
    "compare_examples": "xmrc.scoring",
    "compare_seeds": "xmrc.scoring",
    "find_reader": "xmrc.tracking",
    "gxlt_table": "xmrc.scoring",
    "load_corpus": "xmrc.data",
    "load_study": "xmrc.settings",
    "read_scores": "xmrc.scoring",
    "register_span_loss": "xmrc.learning.terms",
    "register_term": "xmrc.learning.terms",
    "run_study": "xmrc.study",
    "score_examples": "xmrc.scoring",
    "summarise": "xmrc.scoring",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

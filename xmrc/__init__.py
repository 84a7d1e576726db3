"""xmrc finds and trains the best cross-lingual reader for a few-resource setting.

In: a study file (YAML) that says what is fixed and what is searched. Out: a registered model.
The libraries below send usage statistics by default; here only where the user asked for it.
"""

import os

for _switch, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(_switch, _value)

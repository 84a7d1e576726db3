"""What a study is. In: a YAML file and `--set` texts. Out: a frozen `Study`, or a one-line error.

Every key that is accepted here is implemented to the right: data, scoring, learning, search.
"""

from xmrc.settings.domains import Domain, Space, dependency_order
from xmrc.settings.fields import Count, NotNegative, Positive, Section, Share, Text
from xmrc.settings.load import load_study
from xmrc.settings.objective import ObjectiveSettings
from xmrc.settings.schema import (
    ConfirmSettings,
    FinalSettings,
    PromotionSettings,
    ResourceSettings,
    SearchSettings,
    Study,
    TrackingSettings,
)
from xmrc.settings.sections import (
    WINDOW_KEYS,
    BaseSettings,
    DataSettings,
    EncoderConfig,
    RunSettings,
    TrainingSettings,
)
from xmrc.settings.space_checks import reach
from xmrc.settings.values import flat, to_yaml, with_values

__all__ = [
    "WINDOW_KEYS",
    "BaseSettings",
    "ConfirmSettings",
    "Count",
    "DataSettings",
    "Domain",
    "EncoderConfig",
    "FinalSettings",
    "NotNegative",
    "ObjectiveSettings",
    "Positive",
    "PromotionSettings",
    "ResourceSettings",
    "RunSettings",
    "SearchSettings",
    "Section",
    "Share",
    "Space",
    "Study",
    "Text",
    "TrackingSettings",
    "TrainingSettings",
    "dependency_order",
    "flat",
    "load_study",
    "reach",
    "to_yaml",
    "with_values",
]

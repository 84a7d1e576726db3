"""The loss, term by term. In: settings of the objective, batches. Out: what is minimised.

Importing this package registers every term that xmrc has.
"""

# ruff: noqa: I001 - the order is that in which settings and errors name them

from xmrc.learning.terms.term import (
    LossShare,
    Student,
    Term,
    WholeBatch,
    mean_share,
    register_term,
)
from xmrc.learning.terms.span_loss import (
    AnswerSet,
    CandidateSettings,
    SpanLoss,
    register_span_loss,
)
from xmrc.learning.terms.cross_entropy import CrossEntropy
from xmrc.learning.terms.marginal_likelihood import MarginalLikelihood
from xmrc.learning.terms.hard_em import HardEM
from xmrc.learning.terms.hard_learning import HardLearning
from xmrc.learning.terms.no_span_loss import NoSpanLoss
from xmrc.learning.terms.contrast import Contrast, ContrastSettings
from xmrc.learning.terms.distillation import Distillation, DistillSettings
from xmrc.learning.terms.objective import Objective

__all__ = [
    "AnswerSet",
    "CandidateSettings",
    "Contrast",
    "ContrastSettings",
    "CrossEntropy",
    "DistillSettings",
    "Distillation",
    "HardEM",
    "HardLearning",
    "LossShare",
    "MarginalLikelihood",
    "NoSpanLoss",
    "Objective",
    "SpanLoss",
    "Student",
    "Term",
    "WholeBatch",
    "mean_share",
    "register_span_loss",
    "register_term",
]

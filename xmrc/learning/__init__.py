"""What is trained. In: windows, settings. Out: a reader, and one evaluation after the other.

Only `worker` needs Ray; the losses are in `terms`.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "CandidateStore": "xmrc.learning.candidates",
    "DivergedError": "xmrc.learning.loop",
    "Evaluation": "xmrc.learning.loop",
    "Reader": "xmrc.learning.reader",
    "Training": "xmrc.learning.loop",
    "TrainingJob": "xmrc.learning.job",
    "WorkerResources": "xmrc.learning.worker",
    "load_model": "xmrc.learning.model",
    "load_tokenizer": "xmrc.learning.model",
    "mine_spans": "xmrc.learning.candidates",
    "predict": "xmrc.learning.prediction",
    "save_checkpoint": "xmrc.learning.model",
    "scratch_encoder": "xmrc.learning.scratch",
    "train_on_workers": "xmrc.learning.worker",
    "open_training": "xmrc.learning.job",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

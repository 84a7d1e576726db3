"""What is read. In: names of corpora, files. Out: examples by language pair, windows of tokens.

Languages are aligned here, pairs sampled, and what is trained on kept apart from what is scored; in
the cache everything expensive is found again by its content.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "Answer": "xmrc.data.examples",
    "Batch": "xmrc.data.windows",
    "CATALOGUE": "xmrc.data.catalogue",
    "Cache": "xmrc.data.cache",
    "Corpus": "xmrc.data.corpora",
    "Example": "xmrc.data.examples",
    "Footprint": "xmrc.data.leakage",
    "ParallelQuestion": "xmrc.data.alignment",
    "ScoredSet": "xmrc.data.scored_set",
    "TrainingData": "xmrc.data.training_data",
    "WindowSize": "xmrc.data.template",
    "Windows": "xmrc.data.windows",
    "across_languages": "xmrc.data.corpora",
    "align": "xmrc.data.alignment",
    "check_leakage": "xmrc.data.leakage",
    "cut_examples": "xmrc.data.features",
    "demo_examples": "xmrc.data.demo.corpus",
    "epoch_batches": "xmrc.data.batches",
    "load_corpus": "xmrc.data.corpora",
    "read_questions": "xmrc.data.questions",
    "read_squad": "xmrc.data.examples",
    "sample_pairs": "xmrc.data.sampling",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

"""Which settings are best. In: a study. Out: a ledger of trials, the best ones' checkpoints.

The rooms of Ray Tune and Optuna, and what comes before them: the base, its candidates, the plan.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "Fit": "xmrc.search.resources",
    "Ledger": "xmrc.search.ledger",
    "Run": "xmrc.search.run",
    "SearchSpace": "xmrc.search.space",
    "StudyData": "xmrc.search.corpora",
    "StudyFolder": "xmrc.search.folder",
    "TrialRecord": "xmrc.search.ledger",
    "check_study": "xmrc.search.prepare",
    "find_start": "xmrc.search.base",
    "fit_trials": "xmrc.search.resources",
    "begun_folder": "xmrc.search.folder",
    "mine_candidates": "xmrc.search.mining",
    "new_folder": "xmrc.search.folder",
    "open_run": "xmrc.search.run",
    "print_plan": "xmrc.search.plan",
    "ray_cluster": "xmrc.search.cluster",
    "read_start": "xmrc.search.reading",
    "search_trials": "xmrc.search.tuner",
    "study_corpora": "xmrc.search.corpora",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

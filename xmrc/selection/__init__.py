"""What follows a search. In: its ledger. Out: a winner, registered, and what is said of it.

The best are confirmed with other seeds, compared with the champion, and scored on the final sets.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "Champion": "xmrc.selection.champion",
    "Contender": "xmrc.selection.contenders",
    "Registration": "xmrc.selection.registration",
    "Verdict": "xmrc.selection.promotion",
    "Winner": "xmrc.selection.champion",
    "choose_winner": "xmrc.selection.champion",
    "confirm": "xmrc.selection.confirmation",
    "decide_promotion": "xmrc.selection.promotion",
    "read_winner": "xmrc.selection.champion",
    "register_winner": "xmrc.selection.registration",
    "score_finals": "xmrc.selection.final_sets",
    "send_study": "xmrc.selection.upload",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

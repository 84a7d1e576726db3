"""What trials report of their training beside scores. In: trials. Out: curves over epochs.

c_kl, the weights w of HL and their entropy, losses: whatever stands in a history and is no score.
"""

import re
from collections.abc import Sequence

from xmrc.pages.charts import Axis, Curve, Panel
from xmrc.search.ledger import TrialRecord

EPOCHS = Axis("epoch")
_PLACE = ("evaluation", "epoch", "step")
_SCORE = re.compile(r"(gxlt|xlt|topk)_\w+")
_WEIGHT = re.compile(r"w_(\d+)")
_SHOWN = 7  # trials, the best ones, and weights: as many as colours can be told apart


def curve_panels(ranking: Sequence[TrialRecord]) -> dict[str, Panel]:
    """A panel for each number that trials report, a curve for each of the best of them.

    The coefficient of the distillation comes first, and the losses last.
    """
    names = dict.fromkeys(name for one in ranking for name in one.history[0])
    shown = [name for name in names if name not in _PLACE and not _is_drawn_elsewhere(name)]
    order = sorted(shown, key=lambda name: (name != "c_kl", name.startswith("loss")))
    return {name: Panel(name, _curves(ranking, name)) for name in order}


def weight_panel(ranking: Sequence[TrialRecord]) -> Panel | None:
    """The weights w of the best trial that has any: the gold's, those behind it, all the rest."""
    best = next((one for one in ranking if "w_1" in one.history[0]), None)
    if best is None:
        return None
    names = sorted(filter(_WEIGHT.fullmatch, best.history[0]), key=lambda name: int(name[2:]))
    groups = {name: [name] for name in names}
    if len(names) > _SHOWN:
        first, rest = names[: _SHOWN - 1], names[_SHOWN - 1 :]
        groups = {name: [name] for name in first} | {f"{rest[0]} to {rest[-1]}": rest}
    curves = [
        Curve(label, [(one["epoch"], sum(one[name] for name in group)) for one in best.history])
        for label, group in groups.items()
    ]
    return Panel(f"w, trial {best.number}", curves)


def _is_drawn_elsewhere(name: str) -> bool:
    return bool(_SCORE.fullmatch(name) or _WEIGHT.fullmatch(name))


def _curves(ranking: Sequence[TrialRecord], name: str) -> list[Curve]:
    these = [one for one in ranking if name in one.history[0]][:_SHOWN]
    return [
        Curve(f"trial {one.number}", [(each["epoch"], each[name]) for each in one.history])
        for one in these
    ]

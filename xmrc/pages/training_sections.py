"""What trials report of their training beside scores, on a study's page.

In: findings, the tables beside them, a folder for pictures. Out: sections, empty where nothing is.
c_kl, the weights w of HL and their entropy, losses: whatever stands in a history and is no score;
c_kl by language pair; the answers to watched questions.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xmrc.pages.charts import Axis, Curve, Panel, draw_curves
from xmrc.pages.findings import Findings
from xmrc.pages.heatmaps import Heatmap, draw_heatmaps
from xmrc.pages.section import PageSection
from xmrc.scoring.gxlt import pair_matrix
from xmrc.scoring.predictions import CONTEXT, PAIR, QUESTION
from xmrc.search.ledger import TrialRecord
from xmrc.search.observed import C_KL, WATCHED, read_table
from xmrc.tables import Column, Table

RIGHT = "all right ones"
_EPOCHS = Axis("epoch")
_PLACE = ("evaluation", "epoch", "step")
_SCORE = re.compile(r"(gxlt|xlt|topk)_\w+")
_WEIGHT = re.compile(r"w_(\d+)")
_SHOWN = 7  # trials, the best ones, and weights: as many as colours can be told apart
_PANELS = 8  # language pairs of a watched question that are drawn
_RANKS = ("first", "second", "third", "fourth", "fifth")


def training_section(findings: Findings, out: Path) -> PageSection:
    """c_kl, w, losses over the epochs."""
    section = PageSection("Training")
    panels, weights = curve_panels(findings.standing), weight_panel(findings.standing)
    if "c_kl" in panels:
        caption = "c_kl, the coefficient of the distillation: means since the last evaluation."
        section.draw(out / "c_kl.png", caption, draw_curves, [panels.pop("c_kl")], _EPOCHS)
    if weights:
        entropy = [panels.pop("w_entropy")] if "w_entropy" in panels else []
        caption = "w, the weights of the candidates (the gold's is the first), and their entropy."
        section.draw(out / "w.png", caption, draw_curves, [weights, *entropy], _EPOCHS)
    if panels:
        caption = "What else was reported, of the best trials."
        section.draw(out / "training.png", caption, draw_curves, list(panels.values()), _EPOCHS)
    return section


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


def coefficient_section(findings: Findings, out: Path) -> PageSection:
    """c_kl of each language pair, of the best trial that takes it from the teacher."""
    section = PageSection("Coefficient by language pair")
    rows = observed_by_best(findings, C_KL)
    if rows.empty:
        return section
    evaluations = rows["evaluation"]
    ends = dict.fromkeys([evaluations.iloc[0], evaluations.iloc[-1]])
    heatmaps = [_by_pair(rows[evaluations == end]) for end in ends]
    caption = (
        f"c_kl of each language pair in trial {rows['trial'].iloc[0]}: the mean over its windows "
        "of how well the teacher ranks the answer, since the evaluation before; at the first and "
        f"at the last, each in colours of its own. {C_KL} has all of them."
    )
    section.draw(out / "c_kl-by-pair.png", caption, draw_heatmaps, heatmaps, number="{:.2f}")
    return section


def watched_section(findings: Findings, out: Path) -> PageSection:
    """The first answers to each watched question as the best trial trained."""
    section = PageSection("Watched questions")
    rows = observed_by_best(findings, WATCHED)
    questions = rows.groupby("id", sort=False) if len(rows) else ()
    for place, (id, answers) in enumerate(questions, 1):
        pairs = dict(iter(answers.groupby(PAIR, sort=False)))
        shown = sorted(pairs, key=lambda pair: pair[0] != pair[1])[:_PANELS]
        panels = [Panel("-".join(pair), answer_curves(pairs[pair])) for pair in shown]
        caption = (
            f"Question {id}, trial {answers['trial'].iloc[0]}: the probabilities of the first five "
            "answers, and of all right ones among them together, by languages of question and "
            f"context. {WATCHED} has every language pair."
        )
        path = out / f"watched-{place}.png"
        section.draw(path, caption, draw_curves, panels, _EPOCHS, names="answer")
        section.tables.append(_answers_table(str(id), answers))
    return section


def observed_by_best(findings: Findings, name: str) -> pd.DataFrame:
    """The rows of the best trial that is in a table; none where no trial is."""
    rows = read_table(findings.ledger.path.parent, name)
    own = (rows[rows["trial"] == one.number] for one in findings.standing if len(rows))
    return next((these for these in own if len(these)), rows[:0])


def answer_curves(rows: pd.DataFrame) -> list[Curve]:
    """The probability at each rank, and of all EM-right ones together, by epoch."""
    ranked = [
        Curve(_RANKS[rank - 1], list(zip(these["epoch"], these["probability"], strict=True)))
        for rank, these in rows.groupby("rank", sort=False)
    ]
    right = rows["probability"].where(rows["em"] > 0, 0.0).groupby(rows["epoch"]).sum()
    return [*ranked, Curve(RIGHT, list(right.items()), dotted=True)]


def _is_drawn_elsewhere(name: str) -> bool:
    return bool(_SCORE.fullmatch(name) or _WEIGHT.fullmatch(name))


def _curves(ranking: Sequence[TrialRecord], name: str) -> list[Curve]:
    these = [one for one in ranking if name in one.history[0]][:_SHOWN]
    return [
        Curve(f"trial {one.number}", [(each["epoch"], each[name]) for each in one.history])
        for one in these
    ]


def _by_pair(rows: pd.DataFrame) -> Heatmap:
    title = f"epoch {rows['epoch'].iloc[0]:.3g}"
    return Heatmap(title, pair_matrix(rows, "c_kl"), "question in", "context in")


def _answers_table(id: str, rows: pd.DataFrame) -> Table:
    """The answers at the last evaluation, a row for each language pair that was ever answered."""
    last = rows[rows["evaluation"] == rows["evaluation"].max()]
    shown = ["answer", "probability", "em"]
    cells = last.set_index([*PAIR, "rank"])[shown].unstack()
    cells.columns = [f"{name}_{rank}" for name, rank in cells.columns]
    every = [f"{name}_{rank}" for rank in range(1, 1 + len(_RANKS)) for name in shown]
    pairs = rows[PAIR].drop_duplicates()
    columns = [
        Column(f"probability_{rank}", name, _answer, more=(f"answer_{rank}", f"em_{rank}"))
        for rank, name in enumerate(_RANKS, 1)
    ]
    return Table(
        pairs.merge(cells.reindex(columns=every), "left", PAIR),
        [Column(QUESTION, "question in"), Column(CONTEXT, "context in"), *columns],
        caption=f"Question {id} at epoch {last['epoch'].iloc[0]:.3g}: answers and their "
        "probabilities; ✓ is right.",
    )


def _answer(probability: float, text: str, em: float) -> str:
    return f"{text} {probability:.2f}{' ✓' if em > 0 else ''}"

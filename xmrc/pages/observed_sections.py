"""What trainings report by language pair and of watched questions, on a study's page.

In: findings, the tables beside them, a folder for pictures. Out: sections, empty where nothing is.
"""

from collections.abc import Sequence
from pathlib import Path

from xmrc.pages.charts import Cells, Curve, Panel, draw_cells, draw_curves
from xmrc.pages.findings import Findings
from xmrc.pages.html import Cell, PageSection, Picture, Table, words
from xmrc.pages.training_curves import EPOCHS
from xmrc.scoring.gxlt import languages_of
from xmrc.search.observed import C_KL, WATCHED, read_table

_RANKS = ("first", "second", "third", "fourth", "fifth")
RIGHT = "all right ones"
_PANELS = 8  # language pairs of a watched question that are drawn

_Row = dict[str, str]
_Pair = tuple[str, str]


def coefficients(findings: Findings, out: Path) -> PageSection:
    """c_kl of each language pair, of the best trial that takes it from the teacher."""
    section = PageSection("Coefficient by language pair")
    number, rows = _of_best(findings, C_KL)
    if not rows:
        return section
    ends = dict.fromkeys(each["evaluation"] for each in (rows[0], rows[-1]))
    tables = [[row for row in rows if row["evaluation"] == end] for end in ends]
    draw_cells(path := out / "c_kl-by-pair.png", [_cells(one) for one in tables], number="{:.2f}")
    caption = (
        f"c_kl of each language pair in trial {number}: the mean over its windows of how well the "
        "teacher ranks the answer, since the evaluation before; at the first and at the last, each "
        f"in colours of its own. {C_KL} has all of them."
    )
    section.pictures.append(Picture(path, caption))
    return section


def watched(findings: Findings, out: Path) -> PageSection:
    """The first answers to each watched question as the best trial trained."""
    section = PageSection("Watched questions")
    number, rows = _of_best(findings, WATCHED)
    for place, id in enumerate(dict.fromkeys(row["id"] for row in rows), 1):
        pairs = _by_pair([row for row in rows if row["id"] == id])
        shown = sorted(pairs, key=lambda pair: pair[0] != pair[1])[:_PANELS]
        panels = [Panel("-".join(pair), _curves(pairs[pair])) for pair in shown]
        draw_curves(path := out / f"watched-{place}.png", panels, EPOCHS, names="answer")
        caption = (
            f"Question {id}, trial {number}: the probabilities of the first five answers, and of "
            f"all right ones among them together, by languages of question and context. {WATCHED} "
            "has every language pair."
        )
        section.pictures.append(Picture(path, caption))
        section.tables.append(_answers(id, pairs))
    return section


def _of_best(findings: Findings, name: str) -> tuple[int, list[_Row]]:
    """The number of the best trial that is in a table, and its rows; 0 and none without."""
    rows = read_table(findings.ledger.path.parent / name)
    for trial in findings.standing:
        own = [row for row in rows if row["trial"] == str(trial.number)]
        if own:
            return trial.number, own
    return 0, []


def _by_pair(rows: Sequence[_Row]) -> dict[_Pair, list[_Row]]:
    pairs: dict[_Pair, list[_Row]] = {}
    for row in rows:
        pairs.setdefault((row["question_language"], row["context_language"]), []).append(row)
    return pairs


def _cells(rows: Sequence[_Row]) -> Cells:
    means = {pair: float(row["c_kl"]) for pair, (row,) in _by_pair(rows).items()}
    questions, contexts = languages_of(means)
    values = [[means.get((asked, told)) for told in contexts] for asked in questions]
    title = f"epoch {float(rows[0]['epoch']):.3g}"
    return Cells(title, questions, contexts, values, "question in", "context in")


def _curves(rows: Sequence[_Row]) -> list[Curve]:
    """The probability at each rank, and of all EM-right ones together, by epoch."""
    epochs = list(dict.fromkeys(float(row["epoch"]) for row in rows))
    right = dict.fromkeys(epochs, 0.0)
    by_rank: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        epoch, probability = float(row["epoch"]), float(row["probability"])
        by_rank.setdefault(_RANKS[int(row["rank"]) - 1], []).append((epoch, probability))
        if float(row["em"]) > 0:
            right[epoch] += probability
    ranked = [Curve(name, line) for name, line in by_rank.items()]
    return [*ranked, Curve(RIGHT, list(right.items()), dotted=True)]


def _answers(id: str, pairs: dict[_Pair, list[_Row]]) -> Table:
    """The answers at the last evaluation, a row for each language pair."""
    last = max((rows[-1] for rows in pairs.values()), key=lambda row: int(row["evaluation"]))
    shown = [
        [words(pair[0]), words(pair[1]), *_texts(rows, last["evaluation"])]
        for pair, rows in pairs.items()
    ]
    caption = (
        f"Question {id} at epoch {float(last['epoch']):.3g}: answers and their probabilities; "
        "✓ is right."
    )
    return Table(["question in", "context in", *_RANKS], shown, caption)


def _texts(rows: Sequence[_Row], evaluation: str) -> list[Cell]:
    cells = [Cell("–", "")] * len(_RANKS)
    for row in rows:
        if row["evaluation"] == evaluation:
            probability, mark = float(row["probability"]), " ✓" if float(row["em"]) > 0 else ""
            text = f"{row['answer']} {probability:.2f}{mark}"
            cells[int(row["rank"]) - 1] = Cell(text, probability)
    return cells

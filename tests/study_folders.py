"""Folders as studies leave them, made by hand in no time."""

from gxlt_scores import scored_row

from xmrc.files import write_document
from xmrc.learning.checkpoints import MODEL, STATE
from xmrc.scoring.evaluation_files import write_tables
from xmrc.scoring.predictions import scored_frame
from xmrc.seals import seal

STUDY = """
name: small
settings:
  encoder: demo
  base: {corpus: demo/train}
  data: {train: demo/train, select: demo/dev, languages: [en, de], ntl: 1}
  objective: {span: ce, distill: {coefficient: 1.0}}
space:
  data.ntl: {int: [1, 3]}
  objective.distill.coefficient: {choice: [0.0, 1.0, map]}
  objective.distill.variant:
    {choice: [first_hit, average_precision], when: {objective.distill.coefficient: map}}
  training.learning_rate: {log_float: [1e-4, 1e-2]}
search: {trials: 4, evaluate_every: 1.0}
"""
NTL, COEFFICIENT, RATE = "data.ntl", "objective.distill.coefficient", "training.learning_rate"
VARIANT = "objective.distill.variant"


def trial(number, values, scores, *, state="finished", cause="", **reported):
    """A trial as the ledger keeps it; `scores` are its gxlt_f1, one for each evaluation."""
    history = [
        {
            "evaluation": place,
            "epoch": float(place),
            "step": 10 * place,
            **{name: series[place - 1] for name, series in reported.items()},
            "gxlt_f1": score,
            "gxlt_em": score - 5,
            "xlt_f1": score + 10,
            "xlt_em": score + 2,
        }
        for place, score in enumerate(scores, 1)
    ]
    return {
        "id": f"id{number}",
        "number": number,
        "values": values,
        "started": 0.0,
        "state": state,
        "cause": cause,
        "seconds": 10.0 * number,
        "evaluations": 2,
        "history": history,
        "best": max(scores, default=None),
        "checkpoint": None,
    }


TRIALS = [
    trial(1, {NTL: 1, COEFFICIENT: 0.0, RATE: 1e-3}, [20.0, 30.0], loss=[2.0, 1.0]),
    trial(
        2,
        {NTL: 3, COEFFICIENT: "map", VARIANT: "first_hit", RATE: 2e-3},
        [25.0, 42.0],
        loss=[2.0, 0.5],
        c_kl=[0.6, 0.9],
    ),
    trial(3, {NTL: 3, COEFFICIENT: 1.0, RATE: 5e-3}, [9.5], state="stopped", c_kl=[1.0]),
    trial(4, {NTL: 2, COEFFICIENT: 0.0, RATE: 9e-3}, [], state="failed", cause="<lost> & gone"),
]


def example(question, context, *, f1, rank=1, name="q1"):
    """An example that has been scored; `f1` 0 to 1, in the frame 0 to 100."""
    em = 100.0 * (rank == 1)
    return scored_row(name, f"{question}-{context}", 100 * f1, em, rank=rank, windows=1)


START = [
    example("en", "en", f1=0.6, rank=1),
    example("en", "de", f1=0.2, rank=2),
    example("de", "en", f1=0.4, rank=None),
    example("de", "de", f1=0.4, rank=3),
]
CHAMPION = [
    example("en", "en", f1=0.8, rank=1),
    example("en", "de", f1=0.4, rank=1),
    example("de", "en", f1=0.1, rank=2),
    example("de", "de", f1=0.5, rank=1),
]


CONFIRMING = STUDY.replace(
    "evaluate_every: 1.0", "evaluate_every: 1.0, confirm: {top: 2, seeds: 3}"
)


def again(number, of, seed, score, **more):
    """A training of a trial with a fresh seed; its second evaluation is the best."""
    values = {**TRIALS[of - 1]["values"], "training.seed": seed}
    return trial(number, values, [score - 1, score], **more)


CONFIRM = [  # trial 2 was the best of the search, and trial 1 has the better mean
    again(1, 2, 101, 36.0), again(2, 2, 102, 40.0), again(3, 2, 103, 35.0),
    again(4, 1, 101, 41.0), again(5, 1, 102, 39.0), again(6, 1, 103, 43.0),
]  # fmt: skip


def study_folder(
    root,
    *,
    study=STUDY,
    trials=TRIALS,
    start=START,
    champion=CHAMPION,
    confirm=(),
    state=(),
    finals=(),
):
    """A run of a study below `root`, with as much as is given."""
    folder = root / "small" / "2026-01-02-030405"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(study)
    write_document(folder / "trials.json", trials)
    if confirm:
        write_document(folder / "confirm.json", list(confirm))
    if state:
        write_document(folder / "state.json", dict(state))
    for name, examples in (("start", start), ("champion", champion)):
        if examples:
            write_tables(folder / name, scored_frame(examples))
    for corpus, readings in dict(finals).items():
        for name, examples in readings.items():
            write_tables(folder / "final" / corpus / name, scored_frame(examples))
    if finals:
        labels = dict.fromkeys(finals, "shared paragraphs")
        write_document(folder / "final" / "labels.json", labels)
    return folder


def put_checkpoint(checkpoints, history, text="weights"):
    """A whole checkpoint after the last evaluation of `history`, of a few bytes."""
    with checkpoints.adding(len(history)) as folder:
        for part in (MODEL, STATE):
            (folder / part).mkdir()
            (folder / part / "tensors").write_text(f"{text} of {part} {len(history)}")
            seal(folder / part)
        for name, content in (("history.json", history), ("observed.json", {})):
            write_document(folder / name, content)

"""Losses of 20 steps, written down once: no change of the code's shape may change a digit.

`golden_losses.json` has them, made by `python tests/learning/test_golden_losses.py`. Float64, no
dropout; in one piece, and in micro-batches of at most 70 tokens.
"""

import json
import tempfile
from pathlib import Path

import pytest
import torch
from golden import machine
from tiny_training import (
    CE,
    HL,
    JOINT,
    SKD_EQ_5,
    SKD_MAP,
    SKD_NUMBER,
    SKD_PER_EXAMPLE,
    Setting,
    make_folder,
    run_alone,
)

from xmrc.learning.terms import CandidateSettings, ContrastSettings
from xmrc.settings import ObjectiveSettings, TrainingSettings

GOLDEN = Path(__file__).with_name("golden_losses.json")
OBJECTIVES = {
    "ce": CE,
    "mml": ObjectiveSettings(span="mml", candidates=CandidateSettings(size=6)),
    "hl_slot": HL,
    "hl_type": ObjectiveSettings(
        span="hl", candidates=CandidateSettings(size=6, weights="type", learning_rate=0.1)
    ),
    "hl_aacl": ObjectiveSettings(
        span="hl",
        alpha=0.5,
        candidates=CandidateSettings(size=6, learning_rate=0.1),
        contrast=ContrastSettings(tau=0.5, negatives=8),
    ),
    "skd_number": SKD_NUMBER,
    "skd_first_hit": SKD_MAP,
    "skd_average_precision": SKD_EQ_5,
    "skd_per_example": SKD_PER_EXAMPLE,
    "joint": JOINT,
}
PIECES = {"whole": None, "micro_batches": 70}  # tokens
OTHER_MACHINE = 1e-9  # relative: another processor or release of torch sums in another order


def losses(folder: Path, objective: str, max_tokens: int | None) -> dict[str, list[float]]:
    """Every part of the loss at each of 20 steps, and c_kl of the language pairs, by name."""
    training = TrainingSettings(
        epochs=5, batch_size=6, learning_rate=1e-3, max_tokens=max_tokens, warmup=0.1
    )
    setting = Setting(OBJECTIVES[objective], training, evaluate_every=0.25, windows=24)
    history = run_alone(folder, setting).history
    assert len(history) == 20
    names = sorted({name for row in history for name in row} - {"number", "step", "epoch"})
    return {name: [row.get(name, 0.0) for row in history] for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_losses_are_those_that_were_written_down(
    objective: str, pieces: str, folder: Path
) -> None:
    golden = json.loads(GOLDEN.read_text())
    expected = golden["losses"][objective][pieces]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = losses(folder, objective, PIECES[pieces])
    finally:
        torch.set_num_threads(threads)
    relative = 0 if golden["machine"] == machine() else OTHER_MACHINE
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=relative, abs=relative), name


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        place = make_folder(Path(temporary))
        found = {
            objective: {name: losses(place, objective, tokens) for name, tokens in PIECES.items()}
            for objective in OBJECTIVES
        }
    GOLDEN.write_text(json.dumps({"machine": machine(), "losses": found}, indent=1) + "\n")

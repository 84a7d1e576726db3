"""The contract of every registered term: what a plugin's must keep, too.

Finite, with a gradient; padding, the order of the batch and micro-batches change nothing; what it
needs from a checkpoint goes through one. Which terms there are is read from the registry.
"""

import doctest
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from seen_batches import shares_of
from span_batches import LookupReader, padded, random_batch, random_logits, reordered
from span_batches import with_candidates as mined
from tiny_training import Setting, make_folder, run_alone
from torch import Tensor

from xmrc.data.features import Batch
from xmrc.learning.model import span_logits
from xmrc.learning.terms import Objective, Student
from xmrc.settings import ObjectiveSettings, TrainingSettings
from xmrc.settings.objective import span_losses, terms

ORDER = [2, 0, 3, 1]
STATES = 6  # hidden size
PAIRS = [("en", "de"), ("de", "de")]


def switched_on(name: str) -> ObjectiveSettings:
    """A span loss alone, or a term beside cross-entropy, by the settings that turn it on."""
    if name in span_losses():
        return ObjectiveSettings.model_validate({"span": name, "distill": {"coefficient": 0.5}})
    for tried in ({name: {}}, {name: {}, "alpha": 0.5}):
        try:
            objective = ObjectiveSettings.model_validate(tried)
        except ValidationError:
            continue
        if name in objective.terms_on:
            return objective
    raise AssertionError(f"no settings turn {name} on")


NAMES = [*span_losses(), *terms()]


def parts_of(name: str, known: Batch, batches: Sequence[Batch]) -> tuple[dict[str, float], Tensor]:
    """Every part of the loss over micro-batches, and the gradient at what is known of each token.

    Logits and states of the tokens of `known`, by their ids, are the same whatever the batches are.
    """
    objective = Objective(switched_on(name), PAIRS).double()
    objective.start_epoch(LookupReader(random_logits(known, 1)))
    reader = LookupReader(random_logits(known, 2))
    generator = torch.Generator().manual_seed(5)
    states = torch.randn((known.input_ids_BL.numel(), STATES), generator=generator).double()
    states.requires_grad_()
    students = [Student(span_logits(reader, each), states[each.input_ids_BL]) for each in batches]
    sums = shares_of(objective, students, batches, len(known))
    sums["loss"].backward()
    learned = torch.cat([reader.starts.grad, reader.ends.grad])
    if states.grad is not None:
        learned = torch.cat([learned, states.grad.flatten()])
    return {part: value.item() for part, value in sums.items()}, learned


@pytest.fixture
def batch() -> Batch:
    """Windows whose second token is the question."""
    made = mined(random_batch(3), 3, size=8)
    question_BL = torch.zeros_like(made.question_mask_BL)
    question_BL[:, 1] = True
    return replace(made, question_mask_BL=question_BL, question_B=torch.tensor([0, 1, 1, 2]))


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_finite_and_teaches_the_reader(name: str, batch: Batch) -> None:
    parts, gradient = parts_of(name, batch, [batch])
    assert all(torch.tensor(value).isfinite() for value in parts.values())
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().max()) > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_order_padding_and_micro_batches_change_nothing(name: str, batch: Batch) -> None:
    expected, gradient = parts_of(name, batch, [batch])
    divisions = ([ORDER], [[0, 1], [2, 3]], [[3], [1, 0], [2]])
    for batches in (
        [padded(batch, 4)],
        *([reordered(batch, rows) for rows in division] for division in divisions),
    ):
        found, again = parts_of(name, batch, batches)
        assert found == pytest.approx(expected, abs=1e-9)
        torch.testing.assert_close(again, gradient, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("contract"))


@pytest.mark.parametrize("name", NAMES)
def test_a_training_in_micro_batches_is_the_training_in_one_piece(name: str, folder: Path) -> None:
    histories = []
    for max_tokens in (None, 70):
        training = TrainingSettings(
            epochs=1, batch_size=6, learning_rate=1e-3, max_tokens=max_tokens
        )
        setting = Setting(switched_on(name), training, evaluate_every=0.5, windows=12)
        histories.append(run_alone(folder, setting).history)
    for whole, divided in zip(*histories, strict=True):
        assert divided == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_writes_down_brings_it_back(name: str, batch: Batch) -> None:
    settings, reader = switched_on(name), LookupReader(random_logits(batch, 1))
    objective = Objective(settings, PAIRS)
    objective.start_epoch(reader)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter += 1
    file = io.BytesIO()
    torch.save(objective.state(), file)
    file.seek(0)
    again = Objective(settings, PAIRS)
    again.restore(reader, torch.load(file, weights_only=True))
    assert str(again.state()) == str(objective.state())


@pytest.mark.parametrize("name", NAMES)
def test_its_documentation_has_a_source_a_study_file_and_examples_that_hold(name: str) -> None:
    term = {**span_losses(), **terms()}[name]
    text = term.__doc__ or ""
    assert "Source: " in text
    assert "Study file: `objective: " in text
    found = doctest.DocTestFinder(recurse=False).find(term, module=sys.modules[term.__module__])
    failed = [doctest.DocTestRunner().run(one).failed for one in found]
    assert failed == [0] * len(failed)

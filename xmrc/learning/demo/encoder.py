"""Pre-train the encoder that `encoder: demo` names. In: the embedded corpus, a seed. Out: a folder.

    python -m xmrc.learning.demo.encoder --out DIR --seed 0

A BERT small enough to ship, in Hugging Face format, made of the stories of demo/train alone.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    get_linear_schedule_with_warmup,
)

from xmrc.data.demo.corpus import draw_story
from xmrc.learning.demo.tasks import ClozeHeads, cloze_loss, translation_loss
from xmrc.learning.demo.tokenizer import demo_tokenizer
from xmrc.learning.model import save_checkpoint


@dataclass(frozen=True)
class Recipe:
    """The encoder's sizes and its pre-training; the defaults made the encoder that is shipped."""

    hidden_size: int = 64
    layers: int = 3
    heads: int = 4
    intermediate_size: int = 128
    positions: int = 128  # tokens
    steps: int = 4500
    batch_size: int = 32  # pairs
    learning_rate: float = 4e-3  # the highest
    warmup: int = 50  # steps
    cloze_share: float = 0.35  # of the steps; the others are of translation
    foreign_cloze: float = 0.1  # of the cloze pairs; the others are English
    seed: int = 0


def _pretrain(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> BertForMaskedLM:
    """Train the encoder from nothing, a batch of one task or the other at a time."""
    random = Random(f"demo encoder {recipe.seed}")
    torch.manual_seed(recipe.seed)
    model = build_model(recipe, len(tokenizer))
    heads = ClozeHeads(recipe.hidden_size)
    weights = [*model.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimiser, recipe.warmup, recipe.steps)
    for step in range(1, recipe.steps + 1):
        stories = [draw_story(random, "train") for _ in range(recipe.batch_size)]
        if random.random() < recipe.cloze_share:
            foreign = recipe.foreign_cloze
            loss = cloze_loss(model, heads, tokenizer, stories, random, foreign=foreign)
        else:
            loss = translation_loss(model, tokenizer, stories, random)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} of {recipe.steps}: loss {loss.item():.3f}", flush=True)
    return model


def build_model(recipe: Recipe, vocabulary: int) -> BertForMaskedLM:
    """The untrained encoder.

    Positions start as sinusoids, and keys as queries (tokens attend to their equals): without this
    the matching of names is learned late or never.
    """
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate_size,
        max_position_embeddings=recipe.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
    )
    model = BertForMaskedLM(config)
    weights = model.state_dict()
    positions = weights["bert.embeddings.position_embeddings.weight"]
    positions.copy_(0.1 * _sinusoids(*positions.shape))
    for layer in range(recipe.layers):
        attention = f"bert.encoder.layer.{layer}.attention.self"
        queries = weights[f"{attention}.query.weight"].mul_(2.0)
        weights[f"{attention}.key.weight"].copy_(queries)
    return model


def _sinusoids(length: int, width: int) -> Tensor:
    """(length, width): sines in the even columns, cosines in the odd ones."""
    rates = torch.exp(-math.log(200.0) * torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).reshape(length, width)


def write_encoder(recipe: Recipe, folder: Path) -> None:
    """Pre-train by the recipe and save model and tokenizer."""
    tokenizer = demo_tokenizer(recipe.positions)
    save_checkpoint(_pretrain(recipe, tokenizer), tokenizer, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the same sums in the same order, whatever the machine has
    write_encoder(Recipe(seed=arguments.seed, steps=arguments.steps), arguments.out)


if __name__ == "__main__":
    main()

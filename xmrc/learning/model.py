"""The reader: an encoder with a span head. In: a hub id or a folder. Out: logits; a folder
that opens with `AutoModelForQuestionAnswering` and `AutoTokenizer`.

Shapes: B windows, L tokens.
"""

import contextlib
import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import huggingface_hub.utils.logging as hub_logging
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer

from xmrc.data.features import Batch
from xmrc.errors import DataError, SettingsError
from xmrc.seals import check_intact

_RELATIVE_POSITIONS = frozenset({"deberta", "deberta-v2"})
OFFSET_POSITIONS = frozenset(  # their first position stands behind that of the padding
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)
_UNREADABLE = (  # what the library raises over a folder that is no, or half a, checkpoint
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    ImportError,
    TypeError,
    AttributeError,
    UnpicklingError,
    SafetensorError,
    StrictDataclassError,
)
MASKED = -1e9  # a logit that no softmax sees; finite, so that masked positions give no NaN in a KL


class SpanLogits(NamedTuple):
    """Start and end logits (B, L) in float32, or in float64 as the model; padding at `MASKED`."""

    start_BL: Tensor
    end_BL: Tensor


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the library's notes about new heads and retries, and its bars, off the terminal."""
    verbosity, hub_verbosity = transformers.logging.get_verbosity(), hub_logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            transformers.logging.enable_progress_bar()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw new weights from `seed`; the caller's own random numbers go on as if nothing was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def load_tokenizer(source: str) -> transformers.PreTrainedTokenizerBase:
    """Open the tokenizer of a hub id or folder.

    Errors: DataError if there is none, if it is a slow one (no offsets) or its folder is damaged.
    """
    check_intact(Path(source))
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(source)
    except _UNREADABLE as error:
        raise DataError(_cannot_open(source, "tokenizer", error)) from error
    if not tokenizer.is_fast:
        raise DataError(
            f"encoder {source}: the tokenizer must be a fast one, whose tokens know their offsets; "
            f"{type(tokenizer).__name__} does not"
        )
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):  # made up, not read
        raise DataError(
            f"encoder {source}: the tokenizer must have a vocabulary, and there is none"
        )
    return tokenizer


def load_model(
    source: str, *, seed: int, dropout: float | None = None
) -> transformers.PreTrainedModel:
    """Open an encoder or a reader; a span head that the checkpoint lacks is drawn from `seed`.

    `dropout` replaces every dropout probability of the architecture; None keeps them.
    Errors: DataError if the source cannot be opened, is damaged, lacks weights of the encoder or
    has an architecture without a span head.
    """
    config = load_config(source)
    config.num_labels = 2  # start and end, whatever the checkpoint's own head was for
    _set_dropout(config, dropout)
    try:
        with quiet_transformers(), seeded(seed):
            model, loaded = AutoModelForQuestionAnswering.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except _UNREADABLE as error:
        raise DataError(_cannot_open(source, "model", error)) from error
    _check_encoder_is_whole(model, loaded, source)
    return model


def best_device() -> torch.device:
    """The GPU that this process sees, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(
    model: transformers.PreTrainedModel, device: torch.device
) -> transformers.PreTrainedModel:
    """The model, moved to `device`."""
    moved: transformers.PreTrainedModel = nn.Module.to(model, device)
    return moved


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, on the CPU; what is shared stays shared."""
    copies: dict[Any, Tensor] = {}
    found = {}
    for name, weight in model.state_dict().items():
        place = (weight.data_ptr(), weight.shape, weight.stride())
        if place not in copies:
            copies[place] = weight.to("cpu", copy=True)
        found[name] = copies[place]
    return found


def save_checkpoint(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerBase,
    folder: Path,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Write safetensors, configuration and tokenizer into `folder`.

    `weights`: those of an earlier moment, as `copied_weights` gave them.
    """
    with quiet_transformers():
        model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))
        tokenizer.save_pretrained(folder)


def position_limit(config: transformers.PretrainedConfig) -> int | None:
    """Tokens that the encoder has positions for; None where they are relative alone."""
    positions = getattr(config, "max_position_embeddings", None)
    relative = config.model_type in _RELATIVE_POSITIONS and not config.position_biased_input
    if positions is None or relative:
        return None
    reserved = config.pad_token_id + 1 if config.model_type in OFFSET_POSITIONS else 0
    return int(positions - reserved)


def check_positions(config: transformers.PretrainedConfig, source: str, max_length: int) -> None:
    """Refuse windows that are longer than the encoder's position table (SettingsError)."""
    limit = position_limit(config)
    if limit is not None and max_length > limit:
        raise SettingsError(
            f"settings.data.max_length must be at most {limit}, "
            f"the positions of encoder {source}, got {max_length}"
        )


def load_config(source: str) -> transformers.PretrainedConfig:
    """Open the configuration of a hub id or folder; DataError if there is none, or it is damaged.

    Damaged is a folder with a seal of ours, of which any file is not as it was written.
    """
    check_intact(Path(source))
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(source)
    except _UNREADABLE as error:
        raise DataError(_cannot_open(source, "configuration", error)) from error


def span_logits(model: torch.nn.Module, batch: Batch) -> SpanLogits:
    """Run the reader (also wrapped for several workers) on a batch."""
    return _masked_logits(model(**_inputs(batch)), batch)


def logits_and_states(model: torch.nn.Module, batch: Batch) -> tuple[SpanLogits, Tensor]:
    """Run the reader; gives also the states of its encoder's last layer, (B, L, D)."""
    output = model(**_inputs(batch), output_hidden_states=True)
    return _masked_logits(output, batch), output.hidden_states[-1]


def _inputs(batch: Batch) -> dict[str, Tensor]:
    inputs = {"input_ids": batch.input_ids_BL, "attention_mask": batch.attention_mask_BL}
    if batch.token_type_ids_BL is not None:
        inputs["token_type_ids"] = batch.token_type_ids_BL
    return inputs


def _masked_logits(output: Any, batch: Batch) -> SpanLogits:
    padding_BL = batch.attention_mask_BL == 0
    exact = torch.promote_types(output.start_logits.dtype, torch.float32)
    return SpanLogits(
        output.start_logits.to(exact).masked_fill(padding_BL, MASKED),
        output.end_logits.to(exact).masked_fill(padding_BL, MASKED),
    )


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision as `training.precision` asks: `auto` is bf16 where the device has it."""
    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    enabled = precision == "bf16" or (precision == "auto" and capable)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _set_dropout(config: transformers.PretrainedConfig, dropout: float | None) -> None:
    if dropout is None:
        return
    for key, value in config.to_dict().items():
        if "dropout" in key and isinstance(value, int | float):
            setattr(config, key, dropout)


def _check_encoder_is_whole(
    model: transformers.PreTrainedModel, loaded: dict[str, Any], source: str
) -> None:
    """Only a span head may be drawn anew; the library draws whatever does not fit."""
    reshaped = {name for name, *_ in loaded["mismatched_keys"]}
    encoder = f"{model.base_model_prefix}."
    drawn = sorted(n for n in {*loaded["missing_keys"], *reshaped} if n.startswith(encoder))
    if drawn:
        raise DataError(
            f"encoder {source}: the checkpoint must have every weight of the encoder that its "
            f"configuration describes: {len(drawn)} are missing or of another shape, "
            f"first {drawn[0]}"
        )


def _cannot_open(source: str, part: str, error: Exception) -> str:
    cause = textwrap.shorten(str(error), 240, placeholder=" ...") or type(error).__name__
    where = "folder" if os.path.isdir(source) else "folder or hub id"
    return f"encoder {source}: the {part} of this {where} cannot be opened: {cause}"

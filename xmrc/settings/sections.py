"""What stands below `settings` in a study file. In: plain values. Out: frozen models.

Each class is one section of the file; below each field stand its meaning and its unit. Defaults are
the setting of Carrino et al. 2023 [SKD] as its released code has it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xmrc.settings.fields import (
    Count,
    Folder,
    Languages,
    NotNegative,
    Positive,
    Section,
    Seed,
    Share,
    Text,
)
from xmrc.settings.objective import ObjectiveSettings, holds_objective
from xmrc.settings.wording import broken

WINDOW_KEYS = (  # what makes other windows of the same pairs, and what other pairs are drawn from
    "data.languages",
    "data.source_language",
    "data.sampling",
    "data.max_length",
    "data.max_question_tokens",
    "data.stride",
)
_SPECIAL_TOKENS = 4  # at most, in a window: <s> question </s> </s> context </s>


class EncoderConfig(Section):
    """Sizes of the BERT that `encoder: scratch` builds; the defaults suit a CPU."""

    vocab_size: Count = 8000
    """Pieces of the vocabulary, at most."""
    hidden_size: Count = 128
    """Numbers that stand for a token."""
    layers: Count = 2
    """How many of them."""
    heads: Count = 2
    """Attention heads of a layer; they share the hidden size."""
    intermediate_size: Count = 512
    """Width of the feed-forward part of a layer."""
    max_position_embeddings: Count = 512
    """The longest window that it can read, in tokens."""

    @model_validator(mode="after")
    def _heads_share_the_hidden_size(self) -> Self:
        if self.hidden_size % self.heads:
            raise broken("heads", f"must divide hidden_size {self.hidden_size}", self.heads)
        return self


class BaseSettings(Section):
    """The reader that the trials start from: trained once on `corpus`, or a finished `model`."""

    corpus: Text | None = None
    """What it is trained on; this or `model`."""
    model: Text | None = None
    """Folder of a checkpoint that is trained already; this or `corpus`."""
    languages: Languages | None = ("en",)
    """Those of the corpus that are trained on; null: all."""
    limit: Count | None = None
    """Question ids of the corpus, those of lowest hash; null: all."""
    epochs: Count = 2
    """Passes over the corpus."""
    batch_size: Count = 24
    """Windows of all workers together."""
    learning_rate: Positive = 3e-5
    """The highest, after warm-up; it falls to 0 at the end."""
    weight_decay: NotNegative = 0.0
    """Of AdamW; none on biases and norms."""
    warmup: Share = 0.0
    """Share of all steps in which the learning rate rises."""
    seed: Seed = 3
    """Of weights, order and dropout."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.corpus is None) == (self.model is None):
            both = {"corpus": self.corpus, "model": self.model}
            raise broken("", "must have exactly one of corpus and model", both)
        return self


class DataSettings(Section):
    """The parallel corpus that is trained on, the one that selects, and how both are cut."""

    root: Folder | None = None
    """Folder of the corpora; null: the variable XMRC_DATA, without it the Hugging Face hub."""
    train: Text = "xquad"
    """The parallel corpus, a name of the catalogue, a path or a glob."""
    select: Text = "mlqa/dev"
    """The corpus on which trials are compared, named as `train` is."""
    languages: Languages = ("en", "es", "de", "ar", "vi", "hi", "zh")
    """Those that are read, trained on and scored."""
    source_language: Text = "en"
    """The language of the questions from which pairs are drawn."""
    sampling: Literal["pairs", "none"] = "pairs"
    """How pairs are drawn; none: each question over its own context, all of them."""
    ntl: Annotated[int, Field(ge=0)] = 5
    """Target languages that are drawn for each question."""
    limit: Count | None = None
    """Question ids, those of lowest hash, the same in every language; null: all."""
    scored_limit: Count | None = None
    """Question ids of each set that is scored; null: as `limit`."""
    strict: bool = True
    """Refuse a question whose answer is not at its offset; false: leave it out."""
    max_length: Count = 384
    """Tokens of a window, question and special tokens included."""
    max_question_tokens: Count = 64
    """Tokens of a question; the rest is cut off."""
    stride: Annotated[int, Field(ge=0)] = 128
    """Tokens that neighbouring windows of one text share."""
    allow_overlap: bool = False
    """Train on what is scored too; the scores then say so."""

    @model_validator(mode="after")
    def _source_is_a_language(self) -> Self:
        if self.source_language not in self.languages:
            among = f"must be one of the languages [{', '.join(self.languages)}]"
            raise broken("source_language", among, self.source_language)
        return self

    @property
    def ids_scored(self) -> int | None:
        """Question ids of each set that is scored, None for all of them."""
        return self.limit if self.scored_limit is None else self.scored_limit

    @model_validator(mode="after")
    def _windows_advance(self) -> Self:
        room = self.max_length - self.max_question_tokens - _SPECIAL_TOKENS
        if room < 1:
            least = self.max_question_tokens + _SPECIAL_TOKENS
            text = f"must be greater than max_question_tokens + {_SPECIAL_TOKENS} = {least}"
            raise broken("max_length", text, self.max_length)
        if self.stride >= room:
            text = (
                f"must be less than max_length - max_question_tokens - {_SPECIAL_TOKENS} = {room}"
            )
            raise broken("stride", text, self.stride)
        return self


class TrainingSettings(Section):
    """AdamW with linear warm-up and decay; the batch is that of all workers together."""

    epochs: Count = 3
    """Passes over the pairs, which are drawn once."""
    batch_size: Count = 24
    """Windows of all workers together."""
    learning_rate: Positive = 5e-5
    """The highest, after warm-up; it falls to 0 at the end."""
    weight_decay: NotNegative = 0.0
    """Of AdamW; none on biases and norms."""
    warmup: Share = 0.0
    """Share of all steps in which the learning rate rises."""
    clip: Positive | None = 1.0
    """The greatest norm of a gradient; null: it is not clipped."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the activations that are dropped; null: the encoder's own."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the arithmetic; auto: bf16 where the device has it."""
    max_tokens: Count | None = None
    """Tokens of a micro-batch, padding included; null: the whole batch at once."""
    seed: Seed = 3
    """Of pairs, weights, order and dropout."""


@holds_objective
class RunSettings(Section):
    """Everything that a single training run needs."""

    encoder: Text = "bert-base-multilingual-cased"
    """Id on the hub, folder, demo (shipped) or scratch (built on the training corpus)."""
    encoder_config: EncoderConfig | None = None
    """Sizes, only for scratch; null: their defaults."""
    base: BaseSettings | None = BaseSettings(corpus="squad/train")
    """What the trials start from; null: none."""
    start_from_base: bool = True
    """False: the trials start from the encoder, and the base only mines candidates."""
    data: DataSettings = DataSettings()
    """What is trained on, and what selects."""
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings)
    """What is minimised."""
    training: TrainingSettings = TrainingSettings()
    """How it is minimised."""

    @model_validator(mode="after")
    def _sizes_are_for_scratch(self) -> Self:
        if self.encoder_config is not None and self.encoder != "scratch":
            text = f"must be left out where encoder is {self.encoder}, not scratch"
            raise broken("encoder_config", text, self.encoder_config.model_dump())
        return self

    @model_validator(mode="after")
    def _scratch_holds_a_window(self) -> Self:
        positions = (self.encoder_config or EncoderConfig()).max_position_embeddings
        if self.encoder == "scratch" and self.data.max_length > positions:
            text = f"must be at most encoder_config.max_position_embeddings = {positions}"
            raise broken("data.max_length", text, self.data.max_length)
        return self

    @model_validator(mode="after")
    def _base_to_start_from(self) -> Self:
        if self.start_from_base and self.base is None:
            raise broken("start_from_base", "must be false where base is null", True)
        return self

    @model_validator(mode="after")
    def _base_to_mine_with(self) -> Self:
        if self.objective.needs_candidates and self.base is None:
            text = "must be ce or none where base is null: candidates are the base's spans"
            raise broken("objective.span", text, self.objective.span)
        return self

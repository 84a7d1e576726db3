"""What one training reads. In: stored examples, settings. Out: the windows of an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from xmrc.data.alignment import align
from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.features import Windows, WindowSize, cut_examples
from xmrc.data.sampling import sample_pairs, sampled_languages
from xmrc.data.store import load_examples
from xmrc.settings import DataSettings


@dataclass(frozen=True)
class TrainingData:
    """All that the windows of an epoch depend on, but the tokenizer.

    `settings` say how pairs are sampled over languages ([SKD] eq. 3), or that the examples are
    taken as they are, and how they are cut; `seed` draws the languages.
    """

    examples: Path  # stored
    settings: DataSettings
    seed: int
    cache: Path

    @property
    def size(self) -> WindowSize:
        """How contexts are cut."""
        return WindowSize.of(self.settings)

    def windows(self, tokenizer: PreTrainedTokenizerBase) -> Windows:
        """One epoch.

        Raises DataError: the examples are not aligned, and pairs are sampled from them.
        """
        examples = load_examples(self.examples)
        if self.settings.sampling == "none":
            return self.cut(examples, tokenizer)
        pairs = sample_pairs(
            align(str(self.examples), examples, sampled_languages(self.settings)),
            source_language=self.settings.source_language,
            ntl=self.settings.ntl,
            seed=self.seed,
        )
        return self.cut(pairs, tokenizer, texts_of=examples)

    def cut(
        self,
        examples: Sequence[Example],
        tokenizer: PreTrainedTokenizerBase,
        texts_of: Sequence[Example] | None = None,
    ) -> Windows:
        """Any examples in windows of the same size."""
        return cut_examples(examples, tokenizer, self.size, Cache(self.cache), texts_of)

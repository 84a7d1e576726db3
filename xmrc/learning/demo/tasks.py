"""What the demo encoder learns from. In: stories and an encoder. Out: the loss of a batch.

Translation language modelling (Conneau and Lample 2019): some facts of a story, retold in any
language, before the whole story in another; masked words are guessed from either text.

Cloze: a fact with its answer masked, before its story; the answer is to be found. It teaches the
matching of names and of sentences, mostly in English and never across languages: a reader that is
then trained on English questions reads English well and pairs of two languages poorly, as readers
from real encoders do.

Shapes: B pairs of texts, L tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertForMaskedLM, PreTrainedTokenizerFast

from xmrc.data.demo.corpus import DEMO_LANGUAGES, Story
from xmrc.data.demo.wording import Fact, statement, tell

IGNORED = -100  # a label that no loss counts
_SAME_LANGUAGE = 0.3  # share of the translation pairs that stay in one language
_MASKED_FIRST, _MASKED_SECOND = 0.4, 0.1  # share of the words of the facts, and of the story
_MASKED, _SWAPPED = 0.8, 0.1  # of those words' tokens: become [MASK], become any token

_Span = tuple[int, int]  # characters of a text: from, up to


@dataclass(frozen=True, slots=True)
class _Cloze:
    """A fact with a gap and its story; where in the story the answer and its sentence are."""

    texts: tuple[str, str]
    answer: _Span
    sentence: _Span


class ClozeHeads(nn.Module):
    """What cloze asks of every token; left behind when the encoder is saved."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.answer = nn.Linear(hidden_size, 2)  # is it the first, the last of the answer?
        self.sentence = nn.Linear(hidden_size, 1)  # is it in the sentence of the answer?
        self.repeated = nn.Linear(hidden_size, 1)  # is it in the first text too?


class StoryPairs:
    """A batch of two texts each, tokenised; the second is cut where a pair is too long."""

    def __init__(
        self, texts: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
    ) -> None:
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.enable_truncation(tokenizer.model_max_length, strategy="only_second")
        backend.enable_padding(pad_id=tokenizer.pad_token_id)
        self.encodings: list[Encoding] = backend.encode_batch(texts)
        self.ids_BL = torch.tensor([encoding.ids for encoding in self.encodings])
        self.second_BL = torch.tensor([encoding.type_ids for encoding in self.encodings]) == 1
        self.present_BL = torch.tensor([e.attention_mask for e in self.encodings]) == 1

    def inputs(self, ids_BL: Tensor | None = None) -> dict[str, Tensor]:
        """What the encoder takes; `ids_BL` replaces the tokens."""
        return {
            "input_ids": self.ids_BL if ids_BL is None else ids_BL,
            "token_type_ids": self.second_BL.long(),
            "attention_mask": self.present_BL.long(),
        }

    def tokens_within(self, spans: Sequence[_Span]) -> Tensor:
        """Which tokens of the second texts lie in the spans of their characters, (B, L)."""
        starts, ends = torch.tensor([e.offsets for e in self.encodings]).unbind(2)
        first, stop = torch.tensor(spans)[:, :, None].unbind(1)
        return self.second_BL & (starts >= first) & (ends <= stop) & (ends > starts)


def translation_loss(
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerFast,
    stories: Sequence[Story],
    random: Random,
) -> Tensor:
    """Mean cross-entropy of the masked tokens."""
    texts = []
    for story in stories:
        first, second = random.choices(DEMO_LANGUAGES, k=2)
        if random.random() < _SAME_LANGUAGE:
            second = first
        facts = random.sample(story.facts, random.randint(1, 3))
        texts.append(
            (tell([_rephrased(fact, random) for fact in facts], first), tell(story.facts, second))
        )
    pairs = StoryPairs(texts, tokenizer)
    ids_BL, labels_BL = mask_words(pairs, tokenizer, random)
    hidden_BLH = model.bert(**pairs.inputs(ids_BL)).last_hidden_state
    masked_BL = labels_BL != IGNORED
    return F.cross_entropy(model.cls(hidden_BLH[masked_BL]), labels_BL[masked_BL])


def cloze_loss(
    model: BertForMaskedLM,
    heads: ClozeHeads,
    tokenizer: PreTrainedTokenizerFast,
    stories: Sequence[Story],
    random: Random,
    *,
    foreign: float,
) -> Tensor:
    """Sum of three losses: where the answer is, its sentence, and the tokens that recur.

    `foreign` is the share of pairs in any of the languages; the others are in English.
    """
    clozes = [cloze_of_story(story, _language(random, foreign), random) for story in stories]
    pairs = StoryPairs([cloze.texts for cloze in clozes], tokenizer)
    hidden = model.bert(**pairs.inputs(), output_hidden_states=True).hidden_states
    answer_BL = pairs.tokens_within([cloze.answer for cloze in clozes])
    sentence_BL = pairs.tokens_within([cloze.sentence for cloze in clozes])
    same_BLL = pairs.ids_BL[:, :, None] == pairs.ids_BL[:, None, :]
    first_BL = pairs.present_BL & ~pairs.second_BL
    repeated_BL = (same_BLL & first_BL[:, None, :]).any(2)
    return (
        _span_loss(heads.answer(hidden[-1]), answer_BL, pairs.present_BL)
        + _tag_loss(heads.sentence(hidden[-1]), sentence_BL, pairs.second_BL)
        + _tag_loss(heads.repeated(hidden[1]), repeated_BL, pairs.second_BL)
    )


def mask_words(
    pairs: StoryPairs, tokenizer: PreTrainedTokenizerFast, random: Random
) -> tuple[Tensor, Tensor]:
    """Tokens with some whole words hidden, and the labels of those: both (B, L)."""
    ids_BL, labels_BL = pairs.ids_BL.clone(), torch.full_like(pairs.ids_BL, IGNORED)
    shares = (_MASKED_FIRST, _MASKED_SECOND)
    for row, encoding in enumerate(pairs.encodings):
        words = list(zip(encoding.sequence_ids, encoding.word_ids, strict=True))
        distinct = dict.fromkeys(word for word in words if word[0] is not None)
        hidden = {word for word in distinct if random.random() < shares[word[0] or 0]}
        for at in (at for at, word in enumerate(words) if word in hidden):
            labels_BL[row, at] = ids_BL[row, at]
            draw = random.random()
            if draw < _MASKED:
                ids_BL[row, at] = tokenizer.mask_token_id
            elif draw < _MASKED + _SWAPPED:
                ids_BL[row, at] = random.randrange(len(tokenizer))
    return ids_BL, labels_BL


def _span_loss(logits_BL2: Tensor, answer_BL: Tensor, present_BL: Tensor) -> Tensor:
    """Cross-entropy of the first and last token of the answer, where it was not cut off."""
    whole_B = answer_BL.any(1)
    logits_B2L = logits_BL2.transpose(1, 2).masked_fill(~present_BL[:, None], -1e4)[whole_B]
    answer_BL = answer_BL[whole_B].long()
    first_B, last_B = answer_BL.argmax(1), answer_BL.shape[1] - 1 - answer_BL.flip(1).argmax(1)
    return (
        F.cross_entropy(logits_B2L[:, 0], first_B) + F.cross_entropy(logits_B2L[:, 1], last_B)
    ) / 2


def _tag_loss(logits_BL1: Tensor, labels_BL: Tensor, counted_BL: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(
        logits_BL1.squeeze(2)[counted_BL], labels_BL[counted_BL].float()
    )


def _rephrased(fact: Fact, random: Random) -> Fact:
    return replace(fact, phrasing=random.randrange(2))


def _language(random: Random, foreign: float) -> str:
    return random.choice(DEMO_LANGUAGES) if random.random() < foreign else "en"


def cloze_of_story(story: Story, language: str, random: Random) -> _Cloze:
    """The fact asked for, in either phrasing, with [MASK] for its answer, before the story."""
    gap = statement(_rephrased(story.facts[story.asked], random), language)
    question = f"{gap.text[: gap.start]}[MASK]{gap.text[gap.start + len(gap.answer) :]}"
    told = statement(story.facts[story.asked], language)
    begin = len(tell(story.facts[: story.asked + 1], language)) - len(told.text)
    start = begin + told.start
    return _Cloze(
        texts=(question, tell(story.facts, language)),
        answer=(start, start + len(told.answer)),
        sentence=(begin, begin + len(told.text)),
    )

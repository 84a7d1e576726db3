"""A reader whose answers are known: the last token of a context that is `MARKER`, wherever it is.

Its logits are made by hand from the token alone: no layer, no position, nothing random. So scores
can be worked out on paper, and a long context shows whether all of it is read.
"""

from pathlib import Path

import torch
from checkpoints import tiny_tokenizer
from transformers import BertConfig, BertForQuestionAnswering

MARKER = "1987"
RISE = 20.0  # of the marker's logits above those of any other token


def marker_reader(folder: Path, positions: int = 64) -> Path:
    """Save the reader with room for `positions` tokens; gives the folder."""
    tokenizer = tiny_tokenizer("wordpiece", folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=4,
        num_hidden_layers=0,
        num_attention_heads=1,
        max_position_embeddings=positions,
    )
    model = BertForQuestionAnswering(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        embeddings = model.bert.embeddings
        embeddings.LayerNorm.weight.fill_(1.0)
        embeddings.word_embeddings.weight[:, 1] = 1.0
        marker = tokenizer.convert_tokens_to_ids(MARKER)
        assert marker != tokenizer.unk_token_id
        embeddings.word_embeddings.weight[marker] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        model.qa_outputs.weight[:, 0] = RISE
    model.save_pretrained(folder)
    return folder

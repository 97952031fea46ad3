"""A tiny reward model that has other tokens than every tiny policy: word pieces, without upper case."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import Any

import torch
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

from sea_toolkit.core.torch_state import own_torch_state, same_random_stream
from sea_toolkit.testing.tiny import tiny_config

CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | trim }}[SEP]{% endfor %}"
"""It trims the answer, and closes it with a token of its own."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_WORDS = ("the", "rain", "town", "is", "it", "in", "on", "what", "wonderful", "thing", "##th", "##in", "##er")


def foreign_tokenizer() -> PreTrainedTokenizerFast:
    """Word pieces over ASCII letters and digits in lower case, `[CLS] … [SEP]` around a text, and a chat template."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits
    words = [*_SPECIAL, *letters, *("##" + c for c in letters), *string.punctuation, *_WORDS]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), _SPECIAL, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = CHAT_TEMPLATE
    return fast


@lru_cache(maxsize=1)
@own_torch_state()
def foreign_classifier() -> tuple[Any, PreTrainedTokenizerFast]:
    """A random sequence classifier, read at its last token, and its tokenizer; treat both as read-only."""
    tokenizer = foreign_tokenizer()
    config = tiny_config("llama", vocab=len(tokenizer), initializer_range=0.15, num_hidden_layers=2, num_labels=1)
    with same_random_stream():
        torch.manual_seed(7)
        return LlamaForSequenceClassification(config).eval(), tokenizer

"""Small tokenizers of the kinds that models have, trained on the spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

CORPUS = [
    "Rain falls from the clouds.", "The capital of France is Paris.", "Tell me about rain, please.",
    "I think that the answer is no: it is not so.", "Yes, it is. No, it is not! Why? Because of the wind;",
    "You are a helpful assistant.\nAnswer in one short sentence.\n\nUser: hello", "1, 2, 3 and 10 (or 20) > 5.",
    "What is the weather like today? It is warm and sunny.", "a the an of to in is on that it he was for as",
] * 20  # fmt: skip

KINDS = ("byte-bpe", "prefix-space-bpe", "spm-legacy", "spm-first", "spm-plain", "unigram", "wordpiece")


@lru_cache(maxsize=64)
def _trained(kind: str) -> str:
    """The tokenizer's JSON, without special tokens but `<unk>`."""
    if kind in ("byte-bpe", "prefix-space-bpe"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind != "byte-bpe")
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        )
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    else:
        return _sentencepiece(kind)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


def _sentencepiece(kind: str) -> str:
    """BPE with byte fallback. `spm-legacy` writes a space before each piece of text between special tokens (Llama-2,
    Mistral, Phi-3), `spm-first` before the first one alone, `spm-plain` nowhere (Gemma)."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    learner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=330, show_progress=False))
    learnt = json.loads(learner.to_str())["model"]
    words = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), *sorted(learnt["vocab"], key=learnt["vocab"].get)]
    vocab = {word: i for i, word in enumerate(dict.fromkeys(words))}
    merges = [tuple(pair) for pair in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    plain: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if kind == "spm-legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    elif kind == "spm-first":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    strip = [] if kind == "spm-plain" else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence([*plain, *strip])
    return str(tokenizer.to_str())


def made(
    kind: str,
    special: Sequence[str | AddedToken] = ("<s>", "</s>"),
    *,
    bos: str | None = "<s>",
    eos: str = "</s>",
    around: str = "",
    template: str | dict[str, str] | None = None,
) -> Any:
    """A tokenizer.

    Args:
        kind: one of `KINDS`, or "byt5".
        special: its special tokens; ids follow those of the vocabulary.
        bos: opens a text, eos ends it.
        around: what is put around a text, as `<s> $A </s>`.
        template: its chat template.
    """
    if kind == "byt5":
        byte_tokenizer = ByT5Tokenizer()
        byte_tokenizer.chat_template = template
        return byte_tokenizer
    inner = Tokenizer.from_str(_trained(kind))
    inner.add_special_tokens([t if isinstance(t, AddedToken) else AddedToken(t, special=True) for t in special])
    if around:
        names = [word for word in around.split() if word != "$A"]
        inner.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[(name, inner.token_to_id(name)) for name in dict.fromkeys(names)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=bos, eos_token=eos, unk_token=None if "byte" in kind else "<unk>"
    )
    tokenizer.chat_template = template
    return tokenizer

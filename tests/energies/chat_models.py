"""Small language models with and without a chat template, and what a trainer says of their answers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.conventions.tokenizers import made

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def saved_models(root: Path) -> dict[str, str]:
    """A tuned model and its reference; ones with a trained tokenizer, without a template, and with soft caps."""
    found = {}
    for name, seed in (("tuned", 3), ("reference", 4), ("other", 5), ("plain", 6), ("capped", 7)):
        tokenizer = made("byte-bpe", bos="<bos>", eos="<eos>") if name == "other" else tiny_tokenizer()
        tokenizer.chat_template = None if name in ("other", "plain") else CHATML
        caps = {"final_logit_softcapping": 5.0} if name == "capped" else {}
        model = tiny_model("gemma2" if caps else "llama", len(tokenizer), seed=seed, num_hidden_layers=1, **caps)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        found[name] = str(root / name)
    return found


@lru_cache
def _loaded(folder):
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def log_p(folder, prompt, text, end):
    """Σ log p of the completion, as TRL's DPOTrainer counts it: the conversation's tokens behind the prompt's."""
    model, tokenizer = _loaded(folder)
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": prompt}]
        before = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        eos = "<eos>"
    else:
        before, eos = prompt, tokenizer.eos_token
    start = tokenizer(before, add_special_tokens=not tokenizer.chat_template).input_ids
    completion = tokenizer(text + (eos if end else ""), add_special_tokens=False).input_ids
    logits = model(input_ids=torch.tensor([[*start, *completion]])).logits[0, :, : len(tokenizer)]
    per_token_logps = logits[:-1].log_softmax(-1).gather(-1, torch.tensor([*start, *completion])[1:, None])[:, 0]
    return per_token_logps[len(start) - 1 :].sum(), max(1, len(completion))

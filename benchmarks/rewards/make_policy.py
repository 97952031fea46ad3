"""A second policy for the test bed: `python benchmarks/rewards/make_policy.py --data DATA --models quality`.

GPT-NeoX (parallel residual, LayerNorm, rotary on a quarter of each head) with a byte-level BPE of its own, trained here
from nothing on the public answers in `--data`, so that it shares neither family nor tokenizer nor training texts with
SmolLM2. The prompts of the bed (`quality_data.py` writes them into `--models`) are left out. It is written to
`MODELS/neox`, and its loss on texts that were held out is printed.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"
TEMPLATE = "{% for m in messages %}{{ m.content }}{{ '\n\n' if m.role == 'user' else eos_token }}{% endfor %}"
"""What is asked, an empty line, the answer."""
WINDOW, ROWS = 256, 16
"""Tokens of a training text, and how many of them a step takes."""
SIZES = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
HELD_OUT = 20
"""One text of so many is for the loss that is printed."""


def lines(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines, gzipped or not."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as text:
        yield from map(json.loads, text)


def answers(data: Path) -> Iterator[tuple[str, str]]:
    """What is asked and what is answered; nothing is asked before a sentence of a review."""
    for row in lines(data / "alpaca_eval_gpt4_pairs.jsonl.gz"):
        yield from ((row["instruction"], row[key]) for key in ("output_1", "output_2"))
    for row in lines(data / "alpaca_en_300.jsonl"):
        yield f"{row['instruction']}\n{row['input']}".strip(), row["output"]
    for row in lines(data / "hh_harmless_base_test.jsonl.gz"):
        for key in ("chosen", "rejected"):
            _, turn, *_ = row[key].split("\n\nHuman: ")
            asked, answer, *_ = f"{turn}\n\nAssistant: ".split("\n\nAssistant: ")
            yield asked, answer
    for row in lines(data / "pku_saferlhf_test_pairs.jsonl.gz"):
        yield from ((row["prompt"], response) for response in row["response"])
    for row in lines(data / "xstest_completions_labeled.jsonl.gz"):
        yield row["prompt"], row["completion"]
    for name in ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets"):
        with gzip.open(data / f"vader_{name}_GroundTruth.tsv.gz", "rt", encoding="utf-8", newline="") as file:
            yield from (("", row[2].strip()) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def texts(data: Path, models_dir: Path) -> list[str]:
    """As the policy will meet them, each once, shuffled, without the prompts of the bed."""
    asked = {
        row["instruction"] for name in ("tune", "report", "compass") for row in lines(models_dir / f"{name}.jsonl")
    }
    found = {f"{prompt}\n\n{answer}".strip() for prompt, answer in answers(data) if prompt not in asked and answer}
    ordered = sorted(found)
    random.Random(0).shuffle(ordered)
    return ordered


def tokenizer(corpus: list[str]) -> PreTrainedTokenizerFast:
    """4096 pieces of bytes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, bos_token=END, chat_template=TEMPLATE)


def windows(found: PreTrainedTokenizerFast, some: list[str]) -> torch.Tensor:
    """All texts in a row, each ended, cut into windows; `(n, WINDOW)`."""
    ids = [i for text in some for i in [*found(text)["input_ids"], found.eos_token_id]]
    return torch.tensor(ids[: len(ids) // WINDOW * WINDOW]).view(-1, WINDOW)


def train(model: GPTNeoXForCausalLM, rows: torch.Tensor, steps: int) -> None:
    """AdamW with a warm start and a cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.05)
    order = torch.cat([torch.randperm(len(rows)) for _ in range(math.ceil(steps * ROWS / len(rows)))])
    for step in range(steps):
        batch = rows[order[step * ROWS : (step + 1) * ROWS]]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}: {loss.item():.2f} nats per token", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data files")
    parser.add_argument("--models", type=Path, required=True, help="folder of quality_data.py; NEOX is written there")
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    torch.manual_seed(0)
    corpus = texts(given.data, given.models)
    held, rest = corpus[::HELD_OUT], [text for i, text in enumerate(corpus) if i % HELD_OUT]
    found = tokenizer(rest)
    rows = windows(found, rest)
    config = GPTNeoXConfig(
        vocab_size=len(found), max_position_embeddings=1024, bos_token_id=found.bos_token_id,
        eos_token_id=found.eos_token_id, pad_token_id=found.eos_token_id, **SIZES,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config)
    print(f"{len(rest)} texts, {rows.numel()} tokens, {model.num_parameters()} parameters", flush=True)
    train(model, rows, given.steps)
    model.eval()
    with torch.no_grad():
        losses = [model(input_ids=batch, labels=batch).loss.item() for batch in windows(found, held).split(ROWS)[:-1]]
    print(f"held out: {sum(losses) / len(losses):.2f} nats per token")
    model.save_pretrained(given.models / "neox")
    found.save_pretrained(given.models / "neox")


if __name__ == "__main__":
    main()

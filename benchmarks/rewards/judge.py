"""What the judges say of the answers: `python benchmarks/rewards/judge.py results --models quality --encoder FOLDER`.

Reads the rows of each kind, and writes `KIND-judged.jsonl`: for each answer a list with one number for each judge.
Similarity is the cosine between the mean last states of an encoder, which no sampler has met. What is not asked for
(`--models` for probes, `--encoder` for similarity) stays as an earlier call left it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from json_lines import answers, lines_of, write_lines
from kinds import KINDS
from transformers import AutoModel, AutoTokenizer

from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.session import Session

LONGEST = 256
"""Tokens of an answer, at most."""
SIMILARITY = "similarity: "

Read = Callable[[Sequence[str], Sequence[bool]], list[float]]
"""`read(texts, finished)`: a number for each text."""


def similarity(to: str, folder: str) -> Read:
    """Cosine with a text."""
    tokenizer, device = AutoTokenizer.from_pretrained(folder), "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModel.from_pretrained(folder).to(device).eval()

    @torch.no_grad()
    def states(texts: Sequence[str]) -> torch.Tensor:
        found = tokenizer([text or " " for text in texts], padding=True, truncation=True, return_tensors="pt").to(
            device
        )
        mask = found["attention_mask"].unsqueeze(-1)
        hidden = model(**found).last_hidden_state * mask
        return torch.nn.functional.normalize(hidden.sum(1) / mask.sum(1), dim=-1)

    def read(texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
        target = states([to])
        parts = [states(texts[i : i + 64]) @ target[0] for i in range(0, len(texts), 64)]
        return torch.cat(parts).tolist()

    return read


def probe(path: Path, policy: Any) -> Read:
    """A probe of the policy."""
    judge = Judge(str(path), ModelFinder(PluginHub.discover()))
    judge.load(policy, ["judge"], LONGEST)

    def read(texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
        found: list[float] = []
        for i in range(0, len(texts), 64):
            some = texts[i : i + 64]
            found += judge.score([""] * len(some), some, finished[i : i + 64])
        return found

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", type=Path, help="folder of the judges that are probes")
    parser.add_argument("--policy", default="smollm2-135m", help="that the probes read")
    parser.add_argument("--encoder", help="folder of an encoder, for similarity")
    given = parser.parse_args()
    readers = Readers(given.models, given.policy, given.encoder)
    for name, kind in KINDS.items():
        kept = given.results / f"{name}-judged.jsonl"
        met = {(row["text"], row["finished"]): row["terms"] for row in answers(given.results, name)}
        if not met:
            continue
        before = {(row["text"], row["finished"]): row["judges"] for row in lines_of(kept)}
        texts, finished = [text for text, _ in met], [end for _, end in met]
        columns: list[list[float | None]] = []
        for i, (judge, _) in enumerate(kind.judges):
            read = readers.get(judge)
            if judge == "term":  # a text's terms are the same for every prompt
                costs = [sum(v for label, v in terms.items() if label != "reference") for terms in met.values()]
                columns.append([-cost for cost in costs])
            elif read is None:
                columns.append([before[key][i] if key in before else None for key in met])
            else:
                columns.append(list(read(texts, finished)))
        values = zip(texts, finished, *columns, strict=True)
        write_lines(kept, [{"text": text, "finished": end, "judges": found} for text, end, *found in values])
        print(f"{name}: {len(texts)} answers", flush=True)


class Readers:
    """Judges by name, loaded once; None where the folder or the encoder is not given."""

    def __init__(self, models: Path | None, policy: str, encoder: str | None) -> None:
        self.models, self.name, self.encoder = models, policy, encoder
        self.policy: Any = None
        self.known: dict[str, Read] = {}

    def get(self, judge: str) -> Read | None:
        """What reads texts for this judge."""
        is_similarity = judge.startswith(SIMILARITY)
        if judge == "term" or (self.encoder if is_similarity else self.models) is None:
            return None
        if judge not in self.known:
            self.known[judge] = self._similarity(judge) if is_similarity else self._probe(judge)
        return self.known[judge]

    def _similarity(self, judge: str) -> Read:
        assert self.encoder is not None
        return similarity(judge.removeprefix(SIMILARITY), self.encoder)

    def _probe(self, judge: str) -> Read:
        assert self.models is not None
        if self.policy is None:
            self.policy = Session().policy(build_recipe({"policy": {"model": self.name}}).policy)
        return probe(self.models / f"{judge}.safetensors", self.policy)


if __name__ == "__main__":
    main()

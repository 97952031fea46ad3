"""The rewards of the test bed: kinds that differ in what a sampler can know of them, each with a judge of another make.

One standard deviation of a reward over the policy's own answers is worth one nat per token of a full answer, so that
the kinds are comparable, and so are answers of other lengths. The deviations are measured on the tuning prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAD = "The storm destroyed the village, and many people lost their homes."
MEANING = "Music brings people together and makes them happy."
LONG_WORDS = {"name": "regex", "pattern": r"\b[A-Za-z]{8,}\b", "mode": "count", "at_least": 16}
TWO_LAYER, OTHER_TOKENIZER = "two-layer.safetensors", "other-tokenizer.safetensors"


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        about: one line for the table.
        terms: entries of the recipe's `energies`, without scale.
        signs: of each term's weight: −1 for a reward that is to be low.
        judges: what reads the answers afterwards, in sum: a probe's file in the folder of the judges, or
            `similarity: TEXT` by an encoder; "term" is the term itself, where there is nothing to be fooled.
    """

    about: str
    terms: tuple[Mapping[str, Any], ...]
    judges: tuple[tuple[str, float], ...]
    signs: tuple[float, ...] = (1.0,)

    def recipe(self, length: int, models: Path) -> dict[str, Any]:
        """With a weight of one nat per token and standard deviation.

        Args:
            length: of answers, in tokens.
            models: folder of the rewards that are files.
        """
        energies: list[dict[str, Any]] = [{"name": "reference"}]
        for term, sign in zip(self.terms, self.signs, strict=True):
            found = dict(term)
            if str(found.get("model", "")).endswith(".safetensors"):
                found["model"] = str(models / found["model"])
            energies.append(found | {"weight": sign * length, "scale": "base-std"})
        return {"energies": energies, "max_new_tokens": length}


def reward(model: str) -> dict[str, Any]:
    return {"name": "reward", "model": model}


def similar(text: str) -> dict[str, Any]:
    return {"name": "semantic-similarity", "text": text}


KINDS: dict[str, Kind] = {
    "sentiment": Kind("linear probe, block 16, mean over tokens", (reward("sentiment"),), (("sentiment-judge", 1.0),)),
    "toxicity": Kind(
        "linear probe, to be low", (reward("toxicity"),), (("toxicity-judge", -1.0),), signs=(-1.0,)
    ),
    "harmlessness": Kind("linear probe of pairs", (reward("harmlessness"),), (("harmlessness-judge", 1.0),)),
    "two-layer": Kind("probe with a hidden layer, last block", (reward(TWO_LAYER),), (("sentiment-judge", 1.0),)),
    "other-tokenizer": Kind(
        "hidden layer on an encoder with a byte-level BPE of its own", (reward(OTHER_TOKENIZER),),
        (("sentiment-judge", 1.0),),
    ),
    "similarity": Kind(
        "meaning of a fixed text, middle layer of the policy", (similar(MEANING),), ((f"similarity: {MEANING}", 1.0),)
    ),
    "asked": Kind(
        "a language model is asked: is the reply friendly?",
        ({"name": "judge", "question": "Is the reply friendly?"},), (("sentiment-judge", 1.0),),
    ),
    "words": Kind(
        "text-only: words of eight letters and more", (LONG_WORDS,), (("term", 1.0),),
    ),
    "pulling": Kind(
        "sentiment, and the meaning of a sad text", (reward("sentiment"), similar(SAD)),
        (("sentiment-judge", 1.0), (f"similarity: {SAD}", 1.0)), signs=(1.0, 1.0),
    ),
}  # fmt: skip
"""Name → kind."""

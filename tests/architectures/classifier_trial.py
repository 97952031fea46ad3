"""What the energy `reward` makes of a sequence classifier of a model type, against transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import SeaError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.testing.tiny import EOS, tiny_tokenizer
from tests.architectures.build import small_model
from tests.architectures.trial import NOT_BUILT, Verdict
from tests.helpers import problem_for

EQUAL = "gives transformers' own number"
REFUSED = "refused: reads more than its input embeddings, or is an encoder-decoder"
TEXTS = ([40, 41, 42, 43, 44, 45], [50, 51, 52])


def try_reward(model_type: str, folder: Path) -> Verdict:
    """Save a small classifier, load it as a reward, and compare two answers of different lengths.

    Raises:
        AssertionError: a number differs.
    """
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    with quiet_transformers():
        try:
            model = small_model(model_type, AutoModelForSequenceClassification, num_labels=1)
            right = [_own(model, ids) for ids in TEXTS]
            model.save_pretrained(folder)
        except Exception as error:  # a default config that does not fit its own class, a package that is not installed
            return Verdict(NOT_BUILT, f"{type(error).__name__}: {error}")
        tokenizer.save_pretrained(folder)
        recipe = {"energies": [{"name": "reward", "model": str(folder), "reads": "response"}]}
        try:
            problem = problem_for(recipe=recipe, sampler="best-of-n", max_new_tokens=6)
        except SeaError as error:
            return Verdict(REFUSED, error.got)
        width = max(map(len, TEXTS))
        ids = torch.tensor([[row + [EOS] * (width - len(row)) for row in TEXTS]])
        together = -problem.energy(SoftResponse.from_ids(ids, (EOS,))).total[0]
        rows = [SoftResponse.from_ids(torch.tensor([[row]]), (EOS,)) for row in TEXTS]
        alone = [-problem.energy(row).total[0, 0] for row in rows]
    for i, own in enumerate(right):
        for tried, what in ((together[i], "in a batch"), (alone[i], "alone")):
            assert abs(float(tried) - own) <= 1e-3 * max(1.0, abs(own)), f"{what}: {float(tried):.4f}, not {own:.4f}"
    return Verdict(EQUAL)


@torch.no_grad()
def _own(model: Any, ids: list[int]) -> float:
    return float(model(input_ids=torch.tensor([ids])).logits[0, 0])

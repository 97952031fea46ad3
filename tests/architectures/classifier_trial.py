"""What the energy `reward` makes of a sequence classifier of a model type, against transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import SeaError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.testing.tiny import EOS, tiny_tokenizer
from tests.architectures.build import small_model
from tests.architectures.trial import NOT_BUILT, Verdict
from tests.helpers import problem_for

EQUAL = "gives transformers' own number"
TEXT_ONLY = "gives transformers' own number, without a gradient: it cannot be read through its embeddings"
REFUSED = "refused: needs more than text"
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
            if model.config.is_encoder_decoder:  # it is read at the end of the text
                _end_texts(tokenizer, model.config.eos_token_id)
            right = [_own(model, ids + wrapping(tokenizer)[1]) for ids in TEXTS]
            model.save_pretrained(folder)
        except Exception as error:  # a default config that does not fit its own class, a package that is not installed
            return Verdict(NOT_BUILT, f"{type(error).__name__}: {error}")
        tokenizer.save_pretrained(folder)
        recipe = {"energies": [{"name": "reward", "model": str(folder), "reads": "response"}]}
        try:
            problem = problem_for(recipe=recipe, sampler="best-of-n", max_new_tokens=6)
        except SeaError as error:
            return Verdict(REFUSED, error.got)
        score_text = problem.terms[0].bound.score_text
        if score_text is not None:
            for ids in TEXTS:
                text = tokenizer.decode(ids)
                own, tried = _own(model, tokenizer(text).input_ids), -float(score_text(problem.prompts, [text])[0])
                assert abs(tried - own) <= 1e-3 * max(1.0, abs(own)), f"of a text: {tried:.4f}, not {own:.4f}"
            return Verdict(TEXT_ONLY)
        width = max(map(len, TEXTS))
        ids = torch.tensor([[row + [EOS] * (width - len(row)) for row in TEXTS]])
        together = -problem.energy(SoftResponse.from_ids(ids, (EOS,))).total[0]
        rows = [SoftResponse.from_ids(torch.tensor([[row]]), (EOS,)) for row in TEXTS]
        alone = [-problem.energy(row).total[0, 0] for row in rows]
    for i, own in enumerate(right):
        for tried, what in ((together[i], "in a batch"), (alone[i], "alone")):
            assert abs(float(tried) - own) <= 1e-3 * max(1.0, abs(own)), f"{what}: {float(tried):.4f}, not {own:.4f}"
    return Verdict(EQUAL)


def _end_texts(tokenizer: Any, end: int) -> None:
    """Have the tokenizer close each text with this token."""
    name = tokenizer.convert_ids_to_tokens(end)
    tokenizer._tokenizer.post_processor = TemplateProcessing(single=f"$A {name}", special_tokens=[(name, end)])


@torch.no_grad()
def _own(model: Any, ids: list[int]) -> float:
    return float(model(input_ids=torch.tensor([ids])).logits[0, 0])

"""Every sequence classifier that transformers knows, as a reward: transformers' own number, or a refusal."""

from __future__ import annotations

import pytest

from tests.architectures.build import CLASSIFIERS
from tests.architectures.classifier_trial import EQUAL, REFUSED, try_reward
from tests.architectures.trial import NOT_BUILT

REFUSES = ("esm", "esmc", "ibert", "longformer", "perceiver", "t5gemma", "t5gemma2")
"""They read more than their input embeddings, or are encoder-decoders."""

NOT_TRIED = (
    "bart", "bigbird_pegasus", "canine", "funnel", "layoutlmv2", "layoutlmv3", "lilt", "mbart", "mistral4", "mt5",
    "mvp", "plbart", "t5", "umt5", "xmod",
)  # fmt: skip
"""Their own forward pass fails on six tokens alone, or a package is not installed."""


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_a_classifier_gives_the_number_of_transformers(model_type, tmp_path):
    verdict = try_reward(model_type, tmp_path)
    expected = NOT_BUILT if model_type in NOT_TRIED else REFUSED if model_type in REFUSES else EQUAL
    assert verdict.outcome == expected, verdict.reason

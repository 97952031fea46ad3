"""Every sequence classifier that transformers knows, as a reward: transformers' own number, or a refusal."""

from __future__ import annotations

import pytest

from tests.architectures.build import CLASSIFIERS
from tests.architectures.classifier_trial import EQUAL, NOT_BUILT, REFUSED, try_reward

WRONG = (
    "convbert", "ctrl", "esm", "esmc", "fnet", "ibert", "longformer", "mobilebert", "modernbert-decoder",
    "nystromformer", "perceiver", "t5gemma", "t5gemma2", "xlnet", "yoso",
)  # fmt: skip
"""Read at another place than transformers reads them, or not at all."""


@pytest.mark.parametrize(
    "model_type", [pytest.param(name, marks=[pytest.mark.xfail(strict=True)] * (name in WRONG)) for name in CLASSIFIERS]
)
def test_a_classifier_gives_the_number_of_transformers(model_type, tmp_path):
    assert try_reward(model_type, tmp_path).outcome in (EQUAL, REFUSED, NOT_BUILT)

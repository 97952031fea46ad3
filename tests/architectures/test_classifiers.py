"""Every sequence classifier that transformers knows, as a reward: transformers' own number, or a refusal."""

from __future__ import annotations

import pytest

from tests.architectures.build import CLASSIFIERS
from tests.architectures.classifier_trial import EQUAL, REFUSED
from tests.architectures.table import PAGE, REWARD, recorded, reward_verdict, table


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_a_classifier_does_what_the_page_says(model_type):
    verdict = reward_verdict(model_type)
    expected = recorded(REWARD).get(model_type)
    assert verdict.outcome == expected, f"{verdict.reason}; python -m tests.architectures.table writes it"


def test_the_page_names_every_type_once():
    outcomes = recorded(REWARD)
    assert sorted(outcomes) == sorted(CLASSIFIERS)
    assert table(REWARD, outcomes) in PAGE.read_text(encoding="utf-8")
    assert list(outcomes.values()).count(EQUAL) >= 100
    assert list(outcomes.values()).count(REFUSED) <= 10

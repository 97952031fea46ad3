"""Every causal language model that transformers knows: it runs and its numbers are right, or it is refused in words."""

from __future__ import annotations

import pytest

from tests.architectures.build import CAUSAL
from tests.architectures.table import PAGE, POLICY, recorded, table, verdict
from tests.architectures.trial import WORKS


@pytest.mark.parametrize("model_type", CAUSAL)
def test_a_causal_language_model_does_what_the_page_says(model_type):
    found = verdict(model_type)
    assert found.outcome == recorded(POLICY).get(model_type), (
        f"{found.reason}; python -m tests.architectures.table writes it"
    )
    assert (found.outcome == WORKS) == (not found.reason)


def test_the_page_names_every_type_once():
    outcomes = recorded(POLICY)
    assert sorted(outcomes) == CAUSAL
    assert len(CAUSAL) >= 190
    assert table(POLICY, outcomes) in PAGE.read_text(encoding="utf-8")
    assert sum("works" in outcome for outcome in outcomes.values()) >= 160

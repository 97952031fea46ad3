"""One number of several outputs."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig

from sea_toolkit.errors import RecipeError
from sea_toolkit.readers.output_choice import OutputChoice

STARS = BertConfig(id2label={i: f"{i + 1} stars" for i in range(5)})
OUTPUTS = torch.tensor([[0.5, -1.0, 2.0, 0.0, 1.5], [3.0, 0.0, 0.0, 0.0, float("nan")]])


def test_weights_make_a_sum():
    choice = OutputChoice.of(STARS, "rm", {"2 stars": 0.5, "5 stars": -2.0, 0: 1.0})
    torch.testing.assert_close(choice(OUTPUTS)[0], torch.tensor(0.5 - 0.5 - 3.0))
    assert choice.largest == 4


def test_an_output_that_does_not_count_may_be_no_number():
    assert OutputChoice.of(STARS, "rm", "1 stars")(OUTPUTS).tolist() == [0.5, 3.0]
    assert bool(OutputChoice.of(STARS, "rm", 4)(OUTPUTS)[1].isnan())


def test_the_softmax_of_ratings_is_an_expectation():
    """nlptown/bert-base-multilingual-uncased-sentiment and others that rate in stars."""
    choice = OutputChoice.of(STARS, "rm", {f"{i + 1} stars": i + 1 for i in range(5)}, "softmax")
    expected = (OUTPUTS[0].softmax(-1) * torch.arange(1.0, 6.0)).sum()
    torch.testing.assert_close(choice(OUTPUTS)[0], expected)


def test_the_sigmoid_of_a_label_is_its_probability():
    choice = OutputChoice.of(STARS, "rm", "3 stars", "sigmoid")
    torch.testing.assert_close(choice(OUTPUTS)[0], torch.tensor(2.0).sigmoid())


@pytest.mark.parametrize(
    ("wanted", "activation", "message"),
    [
        (None, "none", "rm has 5 outputs"),
        ("6 stars", "none", "no output '6 stars'"),
        ({"6 stars": 1.0}, "none", "no output '6 stars'"),
        ({}, "none", "have no weights"),
        ({"1 stars": float("inf")}, "none", "has the weight inf"),
        (7, "none", "no output 7"),
    ],
)
def test_a_choice_that_cannot_be_made_is_an_error(wanted, activation, message):
    with pytest.raises(RecipeError, match=message):
        OutputChoice.of(STARS, "rm", wanted, activation)


def test_a_single_output_has_no_softmax():
    with pytest.raises(RecipeError, match="softmax is always 1"):
        OutputChoice.of(BertConfig(num_labels=1), "rm", None, "softmax")


def test_the_combined_output_is_the_reward_unless_another_is_named():
    config = BertConfig(id2label={0: "score", 1: "objective_0"})
    assert OutputChoice.of(config, "rm", None).largest == 0
    assert OutputChoice.of(config, "rm", "objective_0").largest == 1

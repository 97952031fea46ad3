"""A config that lies about the weights is refused: no part of a model runs as the model."""

from __future__ import annotations

import pytest

from sea_toolkit.errors import ModelError
from sea_toolkit.models.config_check import refuse_impossible_sizes, refuse_unread_layers
from sea_toolkit.testing.tiny import LAYERS
from tests.models.folders import edit_config, loaded, save_policy


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"num_hidden_layers": -1}, "num_hidden_layers = -1"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers = 1000000"),
        ({"num_hidden_layers": LAYERS - 1}, f"more layers than its config counts: model.layers.{LAYERS - 1}"),
        ({"num_hidden_layers": LAYERS + 1}, "lacks weights"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers.*(int|integer)"),
        ({"num_hidden_layers": None}, "lacks weights"),
        ({"vocab_size": 10**9}, "vocab_size = 1000000000"),
        ({"vocab_size": -5}, "vocab_size = -5"),
        ({"hidden_size": 10**8}, "hidden_size = 100000000"),
        ({"intermediate_size": 10**9}, "intermediate_size"),
        ({"hidden_size": 20_000, "vocab_size": 20_000}, "20000 tokens of width 20000"),
        ({"vocab_size": 300}, "do not fit its config"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"head_dim": 0}, "cannot be loaded"),
        ({"model_type": ["llama"]}, "cannot be loaded"),
        ({"hidden_act": "nosuch"}, "nosuch"),
    ],
)
def test_a_config_that_lies_is_refused(tmp_path, entries, words):
    folder = save_policy(tmp_path / "m")
    edit_config(folder, **entries)
    with pytest.raises(ModelError, match=words):
        loaded(folder)


def test_the_text_part_of_a_config_is_looked_at():
    with pytest.raises(ModelError, match="num_hidden_layers = 9,"):
        refuse_impossible_sizes({"text_config": {"num_hidden_layers": 9}}, {"a": (2,)}, "m")
    refuse_impossible_sizes({"text_config": None, "n_inner": None}, {"a": (2,)}, "m")


def test_weights_of_another_part_may_stay_unread():
    read = ["model.layers.0.mlp.weight", "model.embed.weight"]
    refuse_unread_layers(["vision.layers.0.mlp.weight", "lm_head.weight", "model.pooler.weight"], read, "m")
    with pytest.raises(ModelError, match="more layers"):
        refuse_unread_layers(["model.layers.7.mlp.weight"], read, "m")

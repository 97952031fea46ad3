"""What a manifest tells apart: models by their weights, runs by what they depend on."""

from __future__ import annotations

import copy

import torch

from sea_toolkit.lm.fingerprint import weights_fingerprint
from sea_toolkit.testing.tiny import tiny_model
from sea_toolkit.util.differences import differences


def test_fingerprints_tell_models_apart():
    model = tiny_model()
    found = weights_fingerprint(model)
    assert found == weights_fingerprint(tiny_model())
    assert found != weights_fingerprint(tiny_model(seed=1))
    assert found != weights_fingerprint(tiny_model("mistral"))
    tuned = copy.deepcopy(model)
    with torch.no_grad():
        tuned.model.layers[2].mlp.up_proj.weight += 1e-4
    assert found != weights_fingerprint(tuned)
    for name in ("model.embed_tokens.weight", "model.norm.weight"):  # one entry, wherever it is
        for place in (0, 7, -1):
            tuned = copy.deepcopy(model)
            with torch.no_grad():
                tuned.get_parameter(name).flatten()[place] += 1e-3
            assert found != weights_fingerprint(tuned), (name, place)
    scaled = tiny_model(rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    assert found != weights_fingerprint(scaled)


def test_differences_are_told_line_by_line():
    then = {"a": 1, "plugins": {"x": {"version": "1"}, "gone": {"version": "2"}}, "same": [1]}
    now = {"a": 2, "plugins": {"x": {"version": "1"}, "new": {"version": "3"}}, "same": [1]}
    assert differences(then, now) == [
        "a: 1 then, 2 now",
        "plugins.gone: {'version': '2'} then, absent now",
        "plugins.new: absent then, {'version': '3'} now",
    ]
    assert differences(then, then) == []

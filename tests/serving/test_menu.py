"""What a server offers goes by names, and clients learn no path."""

from __future__ import annotations

import pytest

from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.serving.errors import ApiError, without_paths
from sea_toolkit.serving.menu import Menu
from sea_toolkit.serving.order import Order, order_of
from sea_toolkit.serving.requests import ChatRequest

FILE = "/srv/models/polite.safetensors"
KIND = Recipe.parse(
    {
        "energies": [{"name": "reference"}, {"name": "reward", "model": FILE, "weight": 2.0}],
        "constraints": [{"name": "reward", "model": "toxicity", "max": -4.0}],
    }
)


def order(**sea: object) -> Order:
    request = {"model": "small", "messages": [{"role": "user", "content": "a"}], "sea": sea}
    menu = Menu("small", {"kind": KIND}, ["owner/model"])
    return order_of(ChatRequest.model_validate(request), menu, PluginHub.discover(plugins=[]))


def test_a_reward_in_a_file_goes_by_the_last_part_of_its_path() -> None:
    asked = order(reward={"polite.safetensors": 5.0}).recipe
    assert [(term.options, term.weight) for term in asked.energies[1:]] == [({"model": FILE}, 5.0)]
    for given in (FILE, "srv/models/polite.safetensors", "polit"):
        with pytest.raises(ApiError) as caught:
            order(reward=given)
        assert caught.value.status == 400
        assert "/srv" not in caught.value.message.replace(repr(given), "")


def test_limits_of_a_request_are_added_to_those_of_the_recipe() -> None:
    more = [{"name": "reward", "model": "owner/model", "min": 1.0}, {"name": "length", "target": 3, "max": 1}]
    asked = order(constraints=more).recipe
    assert [limit.options.get("model") for limit in asked.constraints] == ["toxicity", "owner/model", None]
    assert asked.constraints[0] == KIND.constraints[0]


def test_what_was_written_for_this_machine_is_told_without_its_paths() -> None:
    told = without_paths(
        "the probe p reads /home/me/models/x.gguf; see ~/notes/a.md or https://host/a/b, and/or owner/m"
    )
    assert told == (
        "the probe p reads (a file of the server); see (a file of the server) or https://host/a/b, and/or owner/m"
    )

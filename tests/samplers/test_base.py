"""What a sampler declares is checked when its class is made; laws are values; chains are selected part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from sea_toolkit.errors import PluginError
from sea_toolkit.hookspecs import hookimpl
from sea_toolkit.samplers.base import Law, Sampler, sampler_class, select_chains
from sea_toolkit.samplers.suffix_mh import SuffixMH
from sea_toolkit.samplers.tilted import Tilted
from tests.helpers import hub


@dataclass(frozen=True)
class State:
    """Nothing."""


def walk(name: str = "Walk", bases: tuple[type, ...] = (Sampler,), **body: Any) -> type:
    """A sampler class that differs from a complete one in what is given; None leaves a name out."""
    complete = {"state_type": State, "law": Law.none(), "__module__": "plugin"}
    complete |= {method: lambda self, *args: None for method in ("init", "step", "current")}
    return type(name, bases, {k: v for k, v in (complete | body).items() if v is not None})


def test_everything_but_five_names_has_a_default():
    made = walk()
    assert (made.needs_gradient, made.joint, made.reads_budget, made.default_chains) == ("none", False, "always", 4)
    assert made.finished is Sampler.finished


@pytest.mark.parametrize("name", ["state_type", "law", "init", "step", "current"])
def test_what_is_required_is_named_with_the_class(name):
    with pytest.raises(PluginError, match=f"class plugin.Walk does not define {name}"):
        walk(**{name: None})


@pytest.mark.parametrize(
    ("wrong", "meant"), [("joints", "joint"), ("need_gradient", "needs_gradient"), ("default_step", "default_steps")]
)
def test_a_misspelt_name_is_refused(wrong, meant):
    with pytest.raises(PluginError, match=f"did you mean '{meant}'"):
        walk(**{wrong: True})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"law": "exp(−E) over responses, exactly; there is no stated bias"}, "law of class plugin.Walk is 'exp"),
        ({"needs_gradient": True}, "needs_gradient of class plugin.Walk is True"),
        ({"reads_budget": "sometimes"}, "reads_budget of class"),
        ({"joint": "yes"}, "joint of class"),
        ({"default_chains": 0}, "default_chains of class"),
        ({"default_steps": 10}, "default_steps = 10 and default_budget = 32"),
        ({"default_budget": None, "default_steps": None}, None),
        ({"default_relaxation": {"name": "softmax"}}, "lacks name or top_k"),
        ({"state_type": dict}, "is no dataclass"),
        ({"counts_budget": True}, "has no finished"),
        ({"law": Law.target(beta="heat")}, "inverse temperature 'heat', which is none of its options"),
        ({"unfit_relaxations": ("loud",)}, "unfit_relaxations of class"),
    ],
)
def test_what_cannot_be_meant_is_refused(body, message):
    if message is None:  # None leaves the default in place
        assert walk(**body).default_budget == 32
        return
    with pytest.raises(PluginError, match=message):
        walk(**body)


def test_a_law_that_is_inherited_must_find_its_option_too():
    def without(self):
        super(made, self).__init__()

    with pytest.raises(PluginError, match="inverse temperature 'inverse_temperature', which is none of its options"):
        made = type("Fixed", (SuffixMH,), {"__init__": without})


def test_a_class_between_need_not_be_complete():
    class Half(Sampler, abstract=True):
        state_type = State
        law = Law.none()

    assert walk(bases=(Half,), state_type=None, law=None).law == Law.none()
    with pytest.raises(PluginError, match="does not define init"):
        walk(bases=(Half,), init=None)
    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_the_sentence_of_a_law_says_what_the_value_claims():
    assert str(Law.target()) == "exp(−E(x, y)) over responses of at most the run's length, exactly"
    assert str(SuffixMH.law).startswith("exp(−inverse_temperature · E(x, y)) over responses")
    assert str(Law.limit("as particles → ∞", beta="b")).endswith("length, as particles → ∞")
    assert str(Tilted.law) == "optimizer: samples no stated law"
    assert str(Law.none("exp(−E), exactly")).startswith("samples no stated law: ")
    assert [law.over_responses for law in (Law.target(), Law.limit("l"), Law.latent("z"), Law.none())] == [
        True, True, False, False,
    ]  # fmt: skip


class Lookalike:
    """Has the methods of a sampler and declares nothing."""

    law = Law.none()

    def init(self, problem, noise): ...

    def step(self, problem, state, noise): ...

    def current(self, problem, state): ...


@pytest.mark.parametrize(
    ("thing", "cause"),
    [(object, "class object has no method init"), (lambda: None, "is no class"), (Lookalike, "is no sampler")],
)
def test_a_registered_sampler_that_is_none_is_the_plugins_fault(thing, cause):
    class Plugin:
        @hookimpl
        def sea_register_samplers(self, register):
            register("walk", thing)

    with pytest.raises(PluginError, match=rf"plugin 'mine' of temporary 0.*{cause}"):  # noqa: SIM117
        with hub().temporarily(Plugin(), name="mine"):
            sampler_class(hub().get("sampler", "walk"))


@dataclass(frozen=True)
class Chains:
    ids: Tensor
    layers: list[tuple[Tensor, Tensor]]
    turn: int
    candidates: Tensor | None = None


def test_chains_are_selected_in_every_part_of_a_state():
    mask = torch.tensor([[True, False, True], [False, False, True]])
    parts = [
        Chains(torch.full((2, 3, 4), x), [(torch.full((6, 2, 5), x), torch.full((6, 2, 5), -x))], x) for x in (1, 2)
    ]
    chosen = select_chains(mask, *parts)
    expected = torch.where(mask, 1, 2)
    assert torch.equal(chosen.ids, expected[..., None].expand(2, 3, 4))
    ((keys, values),) = chosen.layers
    assert torch.equal(keys[:, 1, 3], expected.flatten())
    assert torch.equal(values, -keys)
    assert (chosen.turn, chosen.candidates) == (1, None)


def test_a_tensor_that_is_not_per_chain_is_refused():
    with pytest.raises(PluginError, match="chains are selected in a tensor"):
        select_chains(torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 1, 4), torch.zeros(2, 1, 4))

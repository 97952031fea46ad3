"""A rehearsal: a recipe's own steps with stand-ins for its models, to count what they will cost.

The stand-ins are tiny and random, but they announce as many weights as the real models have by their configs. So the
run's own ledger counts what the real run will spend, whatever the sampler does; no weights are read. What depends on
the texts is not foreseen: answers that end early cost less, and how often a proposal is accepted may matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.devices import Placement, pick_device, pick_dtype
from sea_toolkit.lm.policy import Policy, parameters_of
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import find_language_model
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.models.skeleton import skeleton
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, ModelOutlook, Outlook
from sea_toolkit.problem.problem import Problem
from sea_toolkit.readers.shared_reading import SharedReading
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.loop import StepLoop
from sea_toolkit.runs.parts import REFERENCE, Part
from sea_toolkit.samplers.base import Info
from sea_toolkit.util.conversation import Row

STEPS = 6
"""Steps that are rehearsed, at most."""

_WIDTH, _HEADS = 16, 2


@dataclass(frozen=True)
class Rehearsal:
    """A composition with stand-ins for its models.

    Attributes:
        composition: with stand-ins for its terms, and the sampler that the recipe will have.
        problem: what it was bound to: one prompt.
        foresight: what was looked at.
        outlooks: what each term tells of itself, in the order of `composition.parts`.
    """

    composition: Composition
    problem: Problem
    foresight: Foresight
    outlooks: Sequence[Outlook]

    @property
    def place(self) -> Placement:
        """Where the policy will be."""
        return self.foresight.place

    def steps(self) -> list[float]:
        """Take a few steps.

        Returns:
            Samples spent per prompt after the start, and after each step.
        """
        loop = _Counted(self.composition, self.problem, stop_after=STEPS)
        loop.take_steps()
        return loop.spent


def rehearse(composition: Composition, finder: ModelFinder, prompt_tokens: int) -> Rehearsal:
    """Bind a composition to stand-ins, and let its terms refuse the policy's tokenizer as they will.

    Args:
        composition: of a recipe; it is left as it is.
        finder: from names to models.
        prompt_tokens: about how long the prompt is, its template not counted.

    Raises:
        ModelError: a model cannot be found, or its config tells no size.
        RecipeError: the sampler cannot work with the terms, or as `Composition.check`.
    """
    recipe = composition.recipe
    foresight = _foresight(recipe.policy, finder)
    composition.check(finder, foresight.tokenizer)
    outlooks = []
    for part in composition.parts:
        with attribute_errors_to(part.owner, "failed in outlook", user_errors_pass=True):
            outlooks.append(part.energy.outlook(foresight))
    parts = [_stand_in(part, outlook) for part, outlook in zip(composition.parts, outlooks, strict=True)]
    few = replace(composition, parts=parts)
    policy = _policy(recipe.policy, foresight)
    problem = few.bind(policy, finder, [_prompt(composition, policy, prompt_tokens)])
    return Rehearsal(few, problem, foresight, outlooks)


class _Counted(StepLoop):
    """A run that nobody watches; it remembers what was spent."""

    def __init__(self, composition: Composition, problem: Problem, *, stop_after: int) -> None:
        super().__init__(composition, problem, stop_after=stop_after)
        self.spent: list[float] = []

    def _emit(self, kind: str, info: Info | None = None) -> None:
        if kind in ("start", "step"):
            self.spent.append(self.problem.ledger.samples)


def _foresight(spec: PolicySpec, finder: ModelFinder) -> Foresight:
    device = pick_device(spec.device)
    source, trust = find_language_model(spec.model, finder), finder.trust_remote_code
    tokenizer = read_tokenizer(source, spec.model, trust_remote_code=trust)
    place = Placement(device, pick_dtype(spec.dtype, device))
    return Foresight(finder, tokenizer, skeleton("causal", source, spec.model, finder), source, place)


def _policy(spec: PolicySpec, foresight: Foresight) -> Policy:
    """A tiny policy with the real one's vocabulary and its number of weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    real = foresight.policy.config.get_text_config()
    config = LlamaConfig(
        vocab_size=len(foresight.policy.get_input_embeddings().weight),
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=_HEADS,
        max_position_embeddings=real.to_dict().get("max_position_embeddings") or 2**20,
        bos_token_id=None,
        eos_token_id=foresight.tokenizer.eos_token_id,
        pad_token_id=None,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    policy = Policy(
        model, foresight.tokenizer, name=spec.model, template=spec.template, system=spec.system,
        template_options=spec.template_options, chat_template=spec.chat_template,
    )  # fmt: skip
    policy.body_parameters, policy.head_parameters = parameters_of(foresight.policy)
    return policy


def _prompt(composition: Composition, policy: Policy, tokens: int) -> Row:
    """A prompt of about so many tokens, with something in every column that is read."""
    wanted = composition.columns
    columns = dict.fromkeys((*wanted.needed, *wanted.used), "1")
    return {**columns, "prompt": "a" + " a" * max(0, tokens - 1)}


def _stand_in(part: Part, outlook: Outlook) -> Part:
    """The term with a stand-in for its energy; the reference is itself, and reads the stand-in of the policy."""
    return part if part.qualified == REFERENCE else replace(part, energy=_StandIn(part.energy, outlook), columns=None)


class _StandIn(Energy):
    """Costs what an energy will cost, and says something random of a text."""

    def __init__(self, energy: Energy, outlook: Outlook) -> None:
        self.outlook_of, self.joint, self.label = outlook, energy.joint, energy.label
        self.columns = energy.columns

    def bind(self, context: Context) -> BoundEnergy:
        """Announce modules with as many weights as the models have."""
        models = self.outlook_of.models or ()
        readings = [_reading(model, context) for model in models]
        weights = torch.randn(_WIDTH, generator=torch.Generator().manual_seed(0))

        def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
            embeds = response.embed(context.policy.table).float()
            content = response.content.float()
            total = ((embeds @ weights) * content).sum(-1) / _WIDTH
            for read in readings:
                total = total + read(response)
            return total

        return BoundEnergy(
            energy=energy, has_gradient=self.outlook_of.has_gradient is not False, is_reward=self.outlook_of.is_reward
        )


class _Weights(nn.Module):
    """Has as many weights as a model, and no numbers; passes on what it is given."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(parameters, device="meta"), requires_grad=False)

    def forward(self, embeds: Float[Tensor, "P C T D"]) -> Float[Tensor, "P C"]:
        return embeds.mean((2, 3))


def _reading(model: ModelOutlook, context: Context) -> Any:
    """What reads responses as the model will: once for all energies that have it."""
    key = ("stand-in", model.key)
    shared = key in context.models
    module = context.load_once((*key, "weights"), lambda: _Weights(model.parameters))
    context.use_model(model.name, module, flops_per_token=0.0 if shared else None)
    latest = context.load_once(key, lambda: SharedReading(context.ledger))

    def read(response: SoftResponse) -> Tensor:
        embeds = response.embed(context.policy.table).float()
        return module(nn.functional.pad(embeds, (0, 0, 0, model.more)))

    return lambda response: latest.of(response, read)

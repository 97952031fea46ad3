"""Stand-ins for the models of a run: tiny and random, but they announce as many weights as the real ones have."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.lm.policy import Policy, parameters_of
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, ModelOutlook, Outlook
from sea_toolkit.readers.shared_reading import SharedReading
from sea_toolkit.runs.memory_forecast import Passes
from sea_toolkit.runs.parts import REFERENCE, Part

_WIDTH, _HEADS, _LARGE = 16, 2, 10.0
_WORD, _FEWEST_WORDS = re.compile("[Ġ▁][a-z]+"), 8


@dataclass(frozen=True)
class Stage:
    """What stand-ins have seen in a rehearsal.

    Attributes:
        policy: the passes of the policy.
        models: those of the other models, by the keys of their outlooks.
    """

    policy: Passes = field(default_factory=Passes)
    models: dict[Hashable, Passes] = field(default_factory=dict)


def policy_like(spec: PolicySpec, foresight: Foresight, stage: Stage) -> Policy:
    """A tiny policy with the real one's vocabulary and its number of weights.

    Args:
        spec: of the real one.
        foresight: its skeleton and tokenizer.
        stage: gets to know its passes.
    """
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
    with same_random_stream():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    write_only(model, _words(foresight.tokenizer))
    policy = Policy(
        model, foresight.tokenizer, name=spec.name, template=spec.template, system=spec.system,
        template_options=spec.template_options, chat_template=spec.chat_template,
    )  # fmt: skip
    model.model.layers[0].register_forward_pre_hook(lambda block, given: stage.policy.note(given[0]))
    policy.body_parameters, policy.head_parameters = parameters_of(foresight.policy)
    return policy


def _words(tokenizer: Any) -> list[int]:
    """Tokens that are whole words with a space before them: a text of them is cut into the same tokens again, as most
    texts of a real policy are. All tokens, where there are too few of them."""
    vocabulary = tokenizer.get_vocab()
    words = [i for token, i in vocabulary.items() if _WORD.fullmatch(token)]
    return sorted(words if len(words) >= _FEWEST_WORDS else vocabulary.values())


def write_only(model: Any, words: list[int]) -> None:
    """Let a tiny model write these tokens alone: a coordinate of its states is large, and others' logits follow it."""
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = _LARGE
        head = model.get_output_embeddings().weight
        head[:, 0] = -_LARGE
        head[words, 0] = 0.0


def stand_in(part: Part, outlook: Outlook, stage: Stage) -> Part:
    """The term with a stand-in for its energy; the reference is itself, and reads the stand-in of the policy.

    Args:
        part: of the recipe.
        outlook: what its energy tells of itself.
        stage: gets to know the passes of its models.
    """
    if part.qualified == REFERENCE:
        return part
    return replace(part, energy=_StandIn(part.energy, outlook, stage), option_columns=None, no_reward=None)


class _StandIn(Energy):
    """Costs what an energy will cost, and says something random of a text."""

    def __init__(self, energy: Energy, outlook: Outlook, stage: Stage) -> None:
        self.told, self.stage = outlook, stage
        self.joint, self.label, self.columns = energy.joint, energy.label, energy.columns

    def bind(self, context: Context) -> BoundEnergy:
        """Announce modules with as many weights as the models have."""
        readings = [self._reading(model, context) for model in self.told.models or ()]
        weights = torch.randn(_WIDTH, generator=torch.Generator().manual_seed(0))

        def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
            embeds = response.embed(context.policy.table).float()
            content = response.content.float()
            total = ((embeds @ weights) * content).sum(-1) / _WIDTH
            for read in readings:
                total = total + read(response)
            return total

        has_gradient = self.told.has_gradient is not False
        return BoundEnergy(energy=energy, has_gradient=has_gradient, is_reward=self.told.is_reward)

    def _reading(self, model: ModelOutlook, context: Context) -> Callable[[SoftResponse], Tensor]:
        """What reads responses as the model will: once for all energies that have it."""
        key = ("stand-in", model.key)
        shared = key in context.models
        module = context.load_once((*key, "weights"), lambda: _Weights(model.parameters))
        price = 2.0 * model.parameters * (context.length + model.more) / context.length
        context.use_model(model.name, module, flops_per_token=0.0 if shared else price)
        latest = context.load_once(key, lambda: SharedReading(context.ledger))
        passes = self.stage.models.setdefault(model.key, Passes())

        def read(response: SoftResponse) -> Tensor:
            embeds = nn.functional.pad(response.embed(context.policy.table).float(), (0, 0, 0, model.more))
            passes.note(embeds)
            found: Tensor = module(embeds)
            return found

        return lambda response: latest.of(response, read)


class _Weights(nn.Module):
    """Has as many weights as a model, and no numbers; passes on what it is given."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(parameters, device="meta"), requires_grad=False)

    def forward(self, embeds: Float[Tensor, "P C T D"]) -> Float[Tensor, "P C"]:
        return embeds.mean((2, 3))

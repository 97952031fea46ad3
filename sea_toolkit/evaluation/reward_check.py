"""What a reward was shown, where it was read, and what it says, beside transformers' own pass over the same text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.energies.remote_reward.energy import RemoteReward
from sea_toolkit.energies.reward import Reward
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.output_choice import OutputChoice, labels_of
from sea_toolkit.readers.read_places import read_places
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.transformers_outputs import transformers_outputs
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.runs.make_parts import recipe_part
from sea_toolkit.runs.named_rewards import no_reward
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.recipe import EnergySpec
from sea_toolkit.runs.resolver import Resolver
from sea_toolkit.util.conversation import Prompt, as_prompts

CLOSE = 1e-3
"""Two outputs that differ by less, relative to one plus their size, are the same; a hundred times that in 16 bits."""


@dataclass(frozen=True)
class Token:
    """A token that a model was shown.

    Attributes:
        id: in the model's vocabulary.
        text: as the vocabulary writes it.
        in_answer: it writes some of the answer.
        is_read: the head reads it; None if that could not be found out.
    """

    id: int
    text: str
    in_answer: bool
    is_read: bool | None


@dataclass(frozen=True)
class CheckedAnswer:
    """One answer.

    Attributes:
        answer: its text.
        reward: as a run has it; NaN for a text that is too long for the model.
        outputs: the model's, by their labels; empty for a reward that is a number.
        transformers: the same by transformers' own forward pass; None if it has none for this model.
        tokens: what the model was shown; empty if that is not known.
    """

    answer: str
    reward: float
    outputs: dict[str, float] = field(default_factory=dict)
    transformers: dict[str, float] | None = None
    tokens: list[Token] = field(default_factory=list)


@dataclass(frozen=True)
class RewardCheck:
    """The answers of one check.

    Attributes:
        name: of the reward.
        kind: what sort of model it is.
        reads: what it is shown of prompt and answer.
        note: why there is nothing of transformers' own, or why the tokens are not known.
        close: how near two numbers have to be.
        answers: one for each text.
    """

    name: str
    kind: str
    reads: str
    note: str
    close: float
    answers: list[CheckedAnswer]

    @property
    def agrees(self) -> bool | None:
        """Whether all outputs are those of transformers; None if there are none to compare with."""
        pairs = [
            (value, answer.transformers[label])
            for answer in self.answers
            if answer.transformers is not None
            for label, value in answer.outputs.items()
        ]
        if not pairs:
            return None
        return all(abs(a - b) <= self.close * (1 + abs(b)) or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


@own_torch_state()
def check_reward(
    term: Mapping[str, Any],
    prompt: str,
    answers: Sequence[str],
    finder: ModelFinder,
    *,
    policy: str = "smollm2-135m",
    allowed: Allowed,
) -> RewardCheck:
    """Score answers with a reward, and say how it came to that.

    Args:
        term: of a recipe: the energy `reward`, or another one that is a reward.
        prompt: one for all answers.
        answers: N texts.
        finder: of models.
        policy: for a reward that needs one: an energy of a plugin, a function.
        allowed: what the reward may do.

    Raises:
        RecipeError, PluginError, ModelError: as a run with this reward.
    """
    spec, resolver = EnergySpec.model_validate(dict(term)), Resolver(finder.hub)
    part = recipe_part(spec, resolver, "reward")
    allowed.refuse_others(part.energy.code, part.energy.servers, f"reward {part.label!r}")
    (asked,) = as_prompts([prompt])
    energy = part.energy
    read = energy.reader(finder) if isinstance(energy, Reward) else None
    if isinstance(energy, Reward) and read is not None:
        return _of_model(part.label, read, energy.choice(read), asked, answers)
    if isinstance(energy, RemoteReward):
        values = energy.connected(finder).scores([asked] * len(answers), list(answers)).tolist()
        kind, note = "a server", "what a server shows its model is not known here"
    else:
        values, kind = _of_energy(part, spec, asked, answers, finder, policy), "an energy"
        note = "what it reads of prompt and answer is its own affair"
    rows = [CheckedAnswer(text, value) for text, value in zip(answers, values, strict=True)]
    return RewardCheck(part.label, kind, "prompt and answer", note, CLOSE, rows)


def _of_model(
    name: str, reader: ClassifierReader, choice: OutputChoice, prompt: Prompt, answers: Sequence[str]
) -> RewardCheck:
    outputs = reader.texts([prompt] * len(answers), list(answers))
    rewards, labels, rows = choice(outputs).tolist(), labels_of(reader.model.config), []
    for answer, reward, values in zip(answers, rewards, outputs.tolist(), strict=True):
        theirs = transformers_outputs(reader, prompt, answer)
        rows.append(
            CheckedAnswer(
                answer,
                reward,
                {label: values[place] for label, place in labels.items()},
                None if theirs is None else {label: theirs[place] for label, place in labels.items()},
                _tokens(reader, prompt, answer),
            )
        )
    own = isinstance(reader.model, PreTrainedModel)
    note = "" if own else "transformers has no class for this head"
    close = CLOSE if next(reader.model.parameters()).dtype == torch.float32 else 100 * CLOSE
    return RewardCheck(name, type(reader.model).__name__, reader.shown.reads, note, close, rows)


def _tokens(reader: ClassifierReader, prompt: Prompt, answer: str) -> list[Token]:
    placed = reader.shown.placed(prompt, answer)
    if placed is None or not placed.ids:
        return []
    places, words = read_places(reader, placed), reader.shown.tokenizer.convert_ids_to_tokens(placed.ids)
    return [
        Token(id, str(word), last > first, None if places is None else i in places)
        for i, (id, word, (first, last)) in enumerate(zip(placed.ids, words, placed.spans, strict=True))
    ]


def _of_energy(
    part: Part, spec: EnergySpec, prompt: Prompt, answers: Sequence[str], finder: ModelFinder, policy_name: str
) -> list[float]:
    """The rewards of an energy that is no model of its own, bound to a policy."""
    policy = load_policy(PolicySpec(model=policy_name), finder)
    part.energy.check(finder, policy.tokenizer)
    texts, finished = [list(answers)], torch.ones(1, len(answers), dtype=torch.bool)
    response, ledger = policy.from_text(texts, finished), Ledger()
    length = response.shape[2]
    prefix = policy.prefix(policy.encode([prompt], length))
    context = Context(policy, [prompt], prefix, length, ledger, Clock(), finder, Meter(ledger))
    bound = part.bind(context)
    if not bound.is_reward:
        raise no_reward(part.label, spec)
    with torch.no_grad():
        values: list[float] = (-bound.of_text(response, [prompt], texts))[0].tolist()
    return values

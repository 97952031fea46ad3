"""Languages so small that every response can be written down, the law of their energy, and how far chains are from it.

The law is enumerated here with the plain transformers model, one response at a time, independently of the toolkit's
scoring.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, no_type_check

import torch
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import SeaError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.testing.setting import bound_problem
from sea_toolkit.testing.tiny import TinyCost, tiny_model, tiny_reward

EOS = 0
LETTERS = "abcdefgh"
PULL = partial(TinyCost, seed=5)
"""The smooth term: from the policy's table to the cost of `tiny_reward()`."""
SEEDS = {4: 6, 5: 7, 6: 6}
"""Of models whose law is spread over ten to forty responses."""


class ToyTokenizer:
    """Token 0 ends the text, the others are letters: decoding and encoding again gives the same ids."""

    eos_token_id = EOS
    eos_token = "."
    chat_template = None
    unk_token_id = None
    all_special_tokens = (".",)
    all_special_ids = (EOS,)
    is_fast = False

    def __init__(self, vocab: int) -> None:
        self.letters = LETTERS[: vocab - 1]
        self.added_tokens_decoder: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.letters) + 1

    def get_vocab(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.eos_token + self.letters)}

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The letters."""
        return [(self.eos_token + self.letters)[i] for i in ids]

    @no_type_check
    def __call__(self, text: str | list[str], **options: Any) -> Any:
        rows = [[1 + self.letters.index(c) for c in t if c in self.letters] for t in ([text], text)[type(text) is list]]
        return SimpleNamespace(input_ids=rows if type(text) is list else rows[0])

    @no_type_check
    def decode(self, ids: Sequence[int], **options: Any) -> str:
        return "".join(self.letters[i - 1] for i in ids if i != EOS)


def doubles(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    """An energy of texts alone: counts letters that stand twice in a row."""
    return [float(sum(a == b for a, b in itertools.pairwise(t))) for t in texts]


@dataclass(frozen=True)
class Toy:
    """A vocabulary with the end of text, and a length."""

    vocab: int
    length: int
    reference: float = 1.0
    text_term: bool = True

    @property
    def terms(self) -> dict[str, tuple[float, Any]]:
        terms: dict[str, tuple[float, Any]] = {"pull": (1.2, tiny_reward())}
        return terms | ({"doubles": (-0.8, doubles)} if self.text_term else {})

    def build(
        self,
        sampler: str | dict[str, Any],
        chains: int,
        *,
        prompts: int = 1,
        hub: PluginHub | None = None,
        reference: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> tuple[Any, Problem]:
        """A sampler, and the toy as its problem.

        Args:
            sampler: its name, or name and options.
            chains: per prompt.
            prompts: how often the one prompt is asked; each has its own stream.
            hub: knows the sampler; the built-in plugins if None.
            reference: options of the reference energy.
            more: further keys of the recipe.
        """
        composition, problem = bound_problem(
            hub or PluginHub.discover(plugins=()),
            policy(self.vocab),
            ["ab"] * prompts,
            chains=chains,
            length=self.length,
            energies=[{"name": "reference", "weight": self.reference, **(reference or {})}],
            own=self.terms,
            sampler={"name": sampler} if isinstance(sampler, str) else sampler,
            **more,
        )
        return composition.sampler, problem

    def problem(self, sampler: str | dict[str, Any], chains: int, **reference: Any) -> Problem:
        """The toy as a problem of one prompt; `reference` are options of the energy of that name."""
        return self.build(sampler, chains, reference=reference)[1]

    @property
    def responses(self) -> list[tuple[int, ...]]:
        """All responses: those that end, and those of the full length."""
        letters = range(1, self.vocab)
        ended = [(*r, EOS) for n in range(self.length) for r in itertools.product(letters, repeat=n)]
        return ended + list(itertools.product(letters, repeat=self.length))


class ToyPolicy(Policy):
    """Reads letters without the toolkit's own checks of shapes: it is called a thousand times a step."""

    @no_type_check
    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)


@lru_cache(maxsize=4)
def policy(vocab: int) -> Policy:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24, "initializer_range": 0.3}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    special = {"bos_token_id": None, "eos_token_id": EOS, "pad_token_id": EOS}
    model = tiny_model("llama", vocab, seed=SEEDS[vocab], **sizes, **heads, **special)
    return ToyPolicy(model, ToyTokenizer(vocab), name=f"toy-{vocab}")


@lru_cache(maxsize=32)
def energies_of(toy: Toy) -> Tensor:
    """E of every response."""
    p = policy(toy.vocab)
    pull = PULL(p.table)
    prompt = p.tokenizer("ab").input_ids
    energies = []
    for response in toy.responses:
        with torch.no_grad():
            logits = p.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
        log_pi = sum(float(logits[len(prompt) - 1 + t, token]) for t, token in enumerate(response))
        energy = -toy.reference * log_pi + 1.2 * pull.of([i for i in response if i != EOS])
        if toy.text_term:
            energy -= 0.8 * doubles([], [p.tokenizer.decode(response)])[0]
        energies.append(energy)
    return torch.tensor(energies, dtype=torch.float64)


def law_of(toy: Toy, beta: float = 1.0) -> Tensor:
    """exp(−β E) over `toy.responses`, normalized."""
    return (-beta * energies_of(toy)).softmax(-1)


def index_of(toy: Toy, ids: Tensor) -> Tensor:
    """Which response each row of ids `[…, T]` is, as an index into `toy.responses`; what follows the end is ignored."""
    place = toy.vocab ** torch.arange(toy.length)
    ended = (ids == EOS).long().cumsum(-1) > 0
    codes = (ids.masked_fill(ended, EOS) * place).sum(-1)
    table = torch.full((toy.vocab**toy.length,), -1)
    for i, r in enumerate(toy.responses):
        table[sum(v * toy.vocab**t for t, v in enumerate(r))] = i
    indices = table[codes.clamp(0, len(table) - 1)]
    if not bool(((indices >= 0) & (codes == codes.clamp(0, len(table) - 1))).all()):
        raise SeaError("ids that are no response of the toy")
    return indices


@dataclass(frozen=True)
class Distance:
    """Total variation between chains and law, what chance alone allows, and the effective sample size."""

    tv: float
    allowed: float
    ess: float

    def __bool__(self) -> bool:
        return self.tv <= self.allowed


def distance(visits: Tensor, law: Tensor) -> Distance:
    """How far the visits `[units, states]` (frequencies per unit) are from the law.

    The units (chains, or prompts with all their chains) are independent, so the spread between them gives the standard
    error of each state's frequency, however slowly they mix. The effective sample size is that of independent draws
    with the same errors; the allowance is the expected distance of so many draws (the mean of a half-normal for each
    state) and five standard deviations of it.
    """
    error = visits.std(0) / len(visits) ** 0.5
    spread = (law * (1 - law)).sqrt()
    ess = float((spread.sum() / error.sum().clamp(min=1e-12)).square())
    expected = 0.5 * math.sqrt(2 / math.pi) * float(spread.sum()) / math.sqrt(ess)
    slack = 5 * 0.5 * math.sqrt((1 - 2 / math.pi) * float(spread.square().sum()) / ess)
    return Distance(0.5 * float((visits.mean(0) - law).abs().sum()), expected + slack, ess)


Step = Callable[[Any, Problem, Any, Noise], Any]


def _step(sampler: Any, problem: Problem, state: Any, noise: Noise) -> Any:
    return sampler.step(problem, state, noise)[0]


def measure(
    toy: Toy,
    sampler: str | dict[str, Any],
    *,
    beta: float = 1.0,
    law: Tensor | None = None,
    prompts: int = 1,
    chains: int = 1024,
    steps: int = 40,
    burn: int = 20,
    seed: int = 0,
    hub: PluginHub | None = None,
    step: Step = _step,
    tamper: Callable[[Any, Problem], None] = lambda sampler, problem: None,
) -> Distance:
    """Run chains and compare them with a law; `tamper` or another `step` makes a mutant of the sampler.

    Args:
        toy: the language.
        sampler: its name, or name and options.
        beta: the law is exp(−β E), unless `law` over `toy.responses` is given.
        prompts: of one prompt the chains are the independent units, else the prompts are: chains may then be coupled.
        chains: per prompt.
        steps: that are counted, after `burn`.
        seed: of the noise.
        hub: knows the sampler.
    """
    bound_sampler, problem = toy.build(sampler, chains, prompts=prompts, hub=hub)
    tamper(bound_sampler, problem)
    noise = Noise.for_prompts(problem.prompts, seed)
    state, _ = bound_sampler.init(problem, noise)
    visits = torch.zeros(prompts, chains, len(toy.responses), dtype=torch.float64)
    for i in range(burn + steps):
        problem.clock.step = i
        state = step(bound_sampler, problem, state, noise)
        if i >= burn:
            at = index_of(toy, bound_sampler.current(problem, state))
            visits.scatter_add_(-1, at[..., None], torch.full((prompts, chains, 1), 1.0 / steps, dtype=torch.float64))
    return distance(visits[0] if prompts == 1 else visits.mean(1), law_of(toy, beta) if law is None else law)

"""Languages so small that every response can be written down, the law of their energy, and how far chains are from it.

The law is enumerated here with the plain transformers model, one response at a time; nothing of the toolkit's scoring
is used for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.api import build_recipe
from sea_toolkit.clock import Clock
from sea_toolkit.compose import Part, compose
from sea_toolkit.ledger import Ledger
from sea_toolkit.noise import Noise
from sea_toolkit.policy import Policy
from sea_toolkit.problem import Problem
from sea_toolkit.response import SoftResponse
from tests.core import hub
from tests.tiny import tiny_model

EOS = 0
LETTERS = "abcdefgh"
SEEDS = {4: 6, 5: 7, 6: 6}
"""Of models whose law is spread over ten to forty responses."""


class ToyTokenizer:
    """Token 0 ends the text, the others are letters: decoding and encoding again gives the same ids."""

    eos_token_id = EOS
    eos_token = "."
    chat_template = None

    def __init__(self, vocab: int) -> None:
        self.letters = LETTERS[: vocab - 1]

    def __len__(self) -> int:
        return len(self.letters) + 1

    def __call__(self, text: str, **options: Any) -> Any:
        return SimpleNamespace(input_ids=[1 + self.letters.index(c) for c in text])

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        return "".join(self.letters[i - 1] for i in ids if i != EOS)


class Pull:
    """A smooth, asymmetric energy, not linear in the tokens and dependent on their order; read through `embed`."""

    def __init__(self, policy: Policy) -> None:
        g = torch.Generator().manual_seed(5)
        self.table = policy.table
        self.mix = torch.randn(self.table.shape[1], 6, generator=g) * 0.7
        self.out = torch.randn(6, generator=g)

    def bind(self, context: Any) -> Pull:
        return self

    def __call__(self, response: SoftResponse) -> Tensor:
        content = response.content[..., None]
        seen = (response.embed(self.table) * content).cumsum(2)
        return ((torch.tanh(seen @ self.mix) @ self.out) * content[..., 0]).sum(-1)

    def of(self, ids: Sequence[int]) -> float:
        """The same, written down again for one response."""
        seen, total = torch.zeros(self.table.shape[1]), 0.0
        for i in ids:
            if i == EOS:
                break
            seen = seen + self.table[i]
            total += float(torch.tanh(seen @ self.mix) @ self.out)
        return total


class Doubles:
    """A text-only term: counts letters that stand twice in a row."""

    def bind(self, context: Any) -> Doubles:
        return self

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
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
        terms: dict[str, tuple[float, Any]] = {"pull": (1.2, Pull(policy(self.vocab)))}
        return terms | ({"doubles": (-0.8, Doubles())} if self.text_term else {})

    def problem(self, sampler: str | dict[str, Any], chains: int, **settings: Any) -> Problem:
        """The toy as a problem of one prompt."""
        recipe = {"energies": [{"name": "reference", "weight": self.reference}]}
        settings = {"sampler": sampler, "chains": chains, "max_new_tokens": self.length} | settings
        chosen = build_recipe(recipe, None, settings, own_terms=True)
        made = compose(chosen, hub(), [Part(term, None, weight, label) for label, (weight, term) in self.terms.items()])
        bound = made.bind(policy(self.vocab), ["ab"], Ledger(), Clock())
        self.sampler_of[id(bound)] = made.sampler
        return bound

    sampler_of = {}  # noqa: RUF012  problem → the sampler its recipe named

    @property
    def responses(self) -> list[tuple[int, ...]]:
        """All of them: ended by the end of text, or as long as may be."""
        letters = range(1, self.vocab)
        ended = [(*r, EOS) for n in range(self.length) for r in itertools.product(letters, repeat=n)]
        return ended + list(itertools.product(letters, repeat=self.length))


class ToyPolicy(Policy):
    """Reads letters without the checks that tests put around every function: it is called a thousand times a step."""

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
    p, pull = policy(toy.vocab), Pull(policy(toy.vocab))
    prompt = p.tokenizer("ab").input_ids
    found = []
    for response in toy.responses:
        with torch.no_grad():
            logits = p.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
        log_pi = sum(float(logits[len(prompt) - 1 + t, token]) for t, token in enumerate(response))
        energy = -toy.reference * log_pi + 1.2 * pull.of(response)
        if toy.text_term:
            energy -= 0.8 * Doubles().score_text([], [p.tokenizer.decode(response)])[0]
        found.append(energy)
    return torch.tensor(found, dtype=torch.float64)


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
    found = table[codes]
    assert bool((found >= 0).all())
    return found


@dataclass(frozen=True)
class Distance:
    """Total variation between chains and law, what chance alone allows, and the effective sample size behind it."""

    tv: float
    allowed: float
    ess: float

    def __bool__(self) -> bool:
        return self.tv <= self.allowed


def distance(visits: Tensor, law: Tensor) -> Distance:
    """How far the visits `[chains, states]` (frequencies per chain) are from the law.

    The chains are independent, so the spread between them gives the standard error of each state's frequency, however
    slowly they mix. The effective sample size is that of independent draws with the same errors; the allowance is the
    expected distance of so many draws (the mean of a half-normal for each state) and five standard deviations of it.
    """
    error = visits.std(0) / len(visits) ** 0.5
    spread = (law * (1 - law)).sqrt()
    ess = float((spread.sum() / error.sum()).square())
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
    chains: int = 1024,
    steps: int = 40,
    burn: int = 20,
    seed: int = 0,
    step: Step = _step,
    tamper: Callable[[Any, Problem], None] = lambda sampler, problem: None,
    settings: dict[str, Any] | None = None,
) -> Distance:
    """Run chains and compare them with exp(−β E); `tamper` or another `step` makes a mutant of the sampler."""
    problem = toy.problem(sampler, chains, **(settings or {}))
    made = toy.sampler_of.pop(id(problem))
    tamper(made, problem)
    noise = Noise.for_prompts(problem.prompts, seed)
    state, _ = made.init(problem, noise)
    visits = torch.zeros(chains, len(toy.responses), dtype=torch.float64)
    for i in range(burn + steps):
        state = step(made, problem, state, noise)
        if i >= burn:
            at = index_of(toy, made.current(problem, state)[0])
            visits[torch.arange(chains), at] += 1.0 / steps
    return distance(visits, law_of(toy, beta))

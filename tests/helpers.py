"""What the tests of the core share: tiny policies and problems, and energies written as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.fingerprint import model_facts, state_sample
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.problem.problem import Problem
from sea_toolkit.readers import make_bridge
from sea_toolkit.readers.probe import Probe, ProbeInfo
from sea_toolkit.readers.probe_head import HiddenLayer, ProbeHead
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.run import Run
from sea_toolkit.runs.session import Session
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import EOS, tiny_model, tiny_policy, tiny_tokenizer

UNSEEN = set() if torch.cuda.is_available() else {"gpu"}
"""Properties of the conformance kit that this machine cannot check."""

SOFT = {"gradient", "readings", "padding", "dead positions", "one-hot = text", "bfloat16", "gpu"}
"""Those of energies that read relaxed answers, and not texts alone."""


@contextmanager
def quick_bridges() -> Iterator[None]:
    """A bridge is measured on 8 texts rather than 20, where it is not the measurement that is under test."""
    usual = make_bridge.measure

    def measure(*given: Any) -> Any:
        *others, prompts = given
        return usual(*others, prompts[:8])

    make_bridge.measure = measure
    try:
        yield
    finally:
        make_bridge.measure = usual


@lru_cache(maxsize=1)
def hub() -> PluginHub:
    """The built-in plugins alone."""
    return PluginHub.discover(plugins=())


def random_ids(*shape: int, seed: int = 0, low: int = 4) -> torch.Tensor:
    """Token ids without special ones (with `low` = 4)."""
    return torch.randint(low, 128, shape, generator=torch.Generator().manual_seed(seed))


def one_hot(ids: torch.Tensor, vocab: int = 128, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.nn.functional.one_hot(ids, vocab).to(dtype)


def dense(ids: torch.Tensor) -> SoftResponse:
    """The response as weights over the whole vocabulary."""
    return SoftResponse.from_weights(one_hot(ids), None, (EOS,))


def sparse(ids: torch.Tensor, k: int = 5, seed: int = 3) -> SoftResponse:
    """The response as one-hot weights over k candidates, the token at another place in each."""
    g = torch.Generator().manual_seed(seed)
    others = torch.stack([torch.randperm(124, generator=g)[:k] + 4 for _ in range(ids.numel())]).view(*ids.shape, k)
    at = torch.randint(0, k, (*ids.shape, 1), generator=g)
    # the token must stand in its row once
    others = torch.where(others == ids[..., None], 3, others)
    candidates = others.scatter(-1, at, ids[..., None])
    return SoftResponse.from_weights(torch.zeros(*ids.shape, k).scatter(-1, at, 1.0), candidates, (EOS,))


def warmth(response: SoftResponse) -> torch.Tensor:
    """A smooth energy that prefers some tokens (ids 30 to 59) and reads nothing else."""
    liked = response.probability(list(range(30, 60))).sum(-1)
    return -(liked * response.content).sum(-1)


def endless() -> Policy:
    """A policy that never ends its texts, and whose texts read as they were written: single letters only."""
    tokenizer = tiny_tokenizer(80)  # no merges
    policy = Policy(tiny_model(vocab=80), tokenizer)
    plain_logits = policy.logits
    letters = torch.zeros(80).index_fill(0, torch.tensor(tokenizer.convert_tokens_to_ids(list("abcdefgh"))), 1.0)

    def only_letters(hidden: torch.Tensor) -> torch.Tensor:
        return plain_logits(hidden).masked_fill(letters == 0, -1e4)

    policy.logits = only_letters  # type: ignore[method-assign]
    return policy


def problem_for(
    energies: dict[str, tuple[float, Callable[..., Any]]] | None = None,
    *,
    prompts: Sequence[str] = PROMPTS[:1],
    policy: Policy | None = None,
    recipe: dict[str, Any] | None = None,
    plugins: PluginHub | None = None,
    **settings: Any,
) -> Problem:
    """A bound problem; the energy is `reference` and `warmth` unless others are given."""
    own = {"warmth": (4.0, warmth)} if energies is None and recipe is None else energies or {}
    settings = {"sampler": "sea", "chains": 2, "max_new_tokens": 10} | settings
    chosen = build_recipe(recipe, None, settings, own_terms=bool(own))
    session = Session(plugins or hub(), policy=policy or tiny_policy())
    return session.bind(session.compose(chosen, own), prompts)


def noise_for(problem: Problem, seed: int = 0) -> Noise:
    return Noise.for_prompts(problem.prompts, seed)


def run_for(
    folder: Any = None,
    *,
    policy: Policy | None = None,
    prompts: Sequence[str] = PROMPTS[:2],
    energies: dict[str, tuple[float, Callable[..., Any]]] | None = None,
    recipe: dict[str, Any] | None = None,
    plugins: PluginHub | None = None,
    stop_after: int | None = None,
    checkpoint_every: int = 3,
    on_event: Callable[[Any], None] | None = None,
    **settings: Any,
) -> Run:
    """A run as `sea.align` makes it, that can be told to stop early."""
    own = {"warmth": (4.0, warmth)} if energies is None else energies
    chosen = build_recipe(recipe, None, {"chains": 2, "max_new_tokens": 10} | settings, own_terms=bool(own))
    session = Session(plugins or hub(), policy=policy or tiny_policy())
    return session.run(
        session.compose(chosen, own),
        prompts,
        folder=folder,
        checkpoint_every=checkpoint_every,
        on_event=on_event,
        stop_after=stop_after,
    )


def tiny_probe(
    *, name: str = "mood", model: str = "tiny-llama", seed: int = 0, layer: int = 2, bias: float = 0.0, hidden: int = 0,
    of: Any = None, tokenizer: Any = None,
) -> Probe:  # fmt: skip
    """A random probe of a tiny model, by default of `tiny_policy()`.

    Args:
        name: of the probe.
        model: the name under which a run finds the model.
        seed: of the head.
        layer: of the model.
        bias: of the head.
        hidden: width of its hidden layer; 0 for a linear head.
        of: the model.
        tokenizer: the model's.
    """
    read, tokenizer = of or tiny_model(), tokenizer or tiny_tokenizer()
    facts, generator = model_facts(read, tokenizer, model), torch.Generator().manual_seed(seed)
    info = ProbeInfo(
        name=name, model=model, model_type=facts.model_type, hidden_size=facts.hidden_size, model_layers=facts.layers,
        vocabulary=facts.vocabulary, layer=layer, accuracy=0.5, hidden=hidden,
    )  # fmt: skip
    weight = torch.randn(hidden or facts.hidden_size, generator=generator)
    inner = None
    if hidden:
        inner = HiddenLayer(torch.randn(hidden, facts.hidden_size, generator=generator), torch.zeros(hidden))
    sample = state_sample(truncate(read, layer), tokenizer, "cpu")
    return Probe(ProbeHead(weight, torch.tensor(bias), inner), sample, info)

"""What an energy gets when it is bound to a run, and where it announces its models."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder

Module = TypeVar("Module", bound=nn.Module)
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Context:
    """What an energy may look at when it is bound.

    Attributes:
        policy: the causal LM.
        prompts: P texts.
        prefix: their key/value cache.
        length: T, the response positions of a run.
        ledger: to count tokens that the energy runs through the policy; `use_model` counts those of its own models.
        clock: to resolve options that are schedules (`clock.value(option)`).
        finder: to find named models (`find_model`).
        meter: of the energy that is bound; filled by `use_model`.
        models: models that energies of this run have loaded beside the policy (see `load_once`).
    """

    policy: Policy
    prompts: Sequence[str]
    prefix: Prefix
    length: int
    ledger: Ledger
    clock: Clock
    finder: ModelFinder
    meter: Meter
    models: dict[tuple[Hashable, ...], Any] = field(default_factory=dict, repr=False)

    def load_once(self, key: tuple[Hashable, ...], load: Callable[[], Loaded]) -> Loaded:
        """What `load` gives; for several energies of a run with the same key, the same object.

        Args:
            key: what it is and where it comes from.
            load: reads it.
        """
        if key not in self.models:
            self.models[key] = load()
        loaded: Loaded = self.models[key]
        return loaded

    def select(self, prompts: Sequence[int]) -> Context:
        """The same for the prompts at these places. What their energies load for their prompts is kept apart.

        Args:
            prompts: places in `prompts`, such as those with one value in a column.
        """
        if list(prompts) == list(range(len(self.prompts))):
            return self
        rows = torch.tensor(list(prompts), device=self.prefix.mask.device)
        models = self.models.setdefault(("prompts", *prompts), {})
        return replace(self, prompts=[self.prompts[p] for p in prompts], prefix=self.prefix.select(rows), models=models)

    def use_model(self, name: str, module: Module, *, flops_per_token: float | None = None) -> Module:
        """Announce a model of one's own. Every energy that has one calls this in `bind`.

        From then on its tokens are in the ledger, its cost is in the budget (a sample is drawn and scored by it), and
        its weights are in the manifest, so that a run cannot go on with others. The weights are frozen, and the module
        is put into eval mode.

        Args:
            name: in the ledger and the manifest, such as `reward:my-model`.
            module: the model. It may be called as a whole, or one of its direct parts by itself.
            flops_per_token: what scoring costs per token of an answer; by default twice the weights that a token is
                multiplied with.

        Returns:
            The module.
        """
        module.eval().requires_grad_(False)
        self.meter.announce(name, module, flops_per_token)
        return module

    def find_model(self, name: str, role: str = "reward") -> Path | str:
        """Where a model is to be loaded from: a path on this machine, or a Hugging Face id; see `ModelFinder.find`.

        Raises:
            ModelError: the name is unknown, has another role, or cannot be had.
        """
        return self.finder.find(name, role)

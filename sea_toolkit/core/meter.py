"""Counts the tokens that run through the models of energies: a model is announced once, hooks count every call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from sea_toolkit.core.ledger import Ledger


def parameters_used(module: nn.Module) -> int:
    """Number of weights that a token is multiplied with.

    Embeddings are looked up and do not count; weights that several modules share count once.
    """
    owned = (p for part in module.modules() if not isinstance(part, nn.Embedding) for p in part.parameters(False))
    return sum({id(p): p.numel() for p in owned}.values())


BackwardPass = tuple[str, int, int]
"""Name of a model, tokens, and weights that each of them is multiplied with."""


@dataclass(frozen=True)
class AnnouncedModel:
    """A model that an energy uses beside the policy.

    Attributes:
        name: in the ledger and in the manifest.
        module: what is called.
        flops_per_token: of an answer, forward; 0 where another energy's pass serves this one too.
        flops_back: of an answer's token, back; each energy with a gradient of its own goes back.
    """

    name: str
    module: nn.Module = field(repr=False)
    flops_per_token: float
    flops_back: float


class Meter:
    """The models of one energy in one run, and the ledger that they are counted in.

    Tokens are counted inside `counting()`, at the outermost announced module that is given tensors. That is the model,
    or one of its direct parts: where a part is called by itself, as a reader of hidden states does, or where the model
    is given texts or a response and passes tensors on.
    """

    def __init__(self, ledger: Ledger, policy: nn.Module | None = None) -> None:
        self.ledger = ledger
        self.models: list[AnnouncedModel] = []
        self.unannounced: set[str] = set()
        self._policy, self._watched = policy, set[str]()
        self.depth = self.counted_at = 0
        self._parts: dict[int, tuple[nn.Module, str, int]] = {}

    @property
    def flops_per_token(self) -> float:
        """FLOPs per token of an answer, forward, summed over all announced models."""
        return sum(model.flops_per_token for model in self.models)

    @property
    def flops_back(self) -> float:
        """FLOPs per token of an answer, back, summed over all announced models."""
        return sum(model.flops_back for model in self.models)

    def announce(self, name: str, module: nn.Module, flops_per_token: float | None = None) -> None:
        """Count `module` under `name` from now on.

        Args:
            name: in the ledger.
            module: the model.
            flops_per_token: of an answer; by default twice the weights that a token is multiplied with.
        """
        whole = 2.0 * parameters_used(module)
        cost = whole if flops_per_token is None else flops_per_token
        self.models.append(AnnouncedModel(name, module, cost, cost or whole))
        for part in (module, *module.children()):
            self._parts[id(part)] = part, name, parameters_used(part)
            if part not in _HOOKED:
                _HOOKED.add(part)
                part.register_forward_pre_hook(_enter, with_kwargs=True)
                part.register_forward_hook(_leave, always_call=True)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Within the block, every token that the announced models are given is counted."""
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)
            self.depth = self.counted_at = 0

    @contextmanager
    def watching(self, call: str) -> Iterator[None]:
        """Like `counting()`; the first time for each kind of call, it also finds models that were not announced.

        Args:
            call: which kind.
        """
        if call in self._watched:
            with self.counting():
                yield
            return
        with unannounced_modules() as modules, self.counting():
            yield
        self._watched.add(call)
        known = [model.module for model in self.models] + ([] if self._policy is None else [self._policy])
        # by weights: a view of a model has modules of its own
        weights = {id(parameter) for module in known for parameter in module.parameters()}
        self.unannounced |= {
            type(module).__name__ for module in modules if any(id(p) not in weights for p in module.parameters(False))
        }

    def knows(self, module: nn.Module) -> bool:
        """Whether calls of this module are counted."""
        return id(module) in self._parts

    def _count(self, module: nn.Module, inputs: list[Tensor]) -> None:
        _, name, parameters = self._parts[id(module)]
        backward = torch.is_grad_enabled() and any(value.requires_grad for value in inputs)
        tokens = _tokens(inputs)
        self.ledger.forward(name, tokens, parameters, backward=backward)
        noted = _BACKWARD.get()
        if noted is not None and backward:
            noted.append((name, tokens, parameters))


_ACTIVE: ContextVar[Meter | None] = ContextVar("sea_toolkit_meter", default=None)
_HOOKED: WeakSet[nn.Module] = WeakSet()
"""Modules that have our hooks already: models outlive runs, and hooks must not pile up."""


_BACKWARD: ContextVar[list[BackwardPass] | None] = ContextVar("sea_toolkit_backward", default=None)


@contextmanager
def backward_passes() -> Iterator[list[BackwardPass]]:
    """What a backward pass through everything that is computed in the block costs: each call of an announced model that
    is counted with one."""
    noted: list[BackwardPass] = []
    token = _BACKWARD.set(noted)
    try:
        yield noted
    finally:
        _BACKWARD.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Within the block nothing is counted: a pass is run again to save memory, or to see what it takes."""
    token = _ACTIVE.set(None)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def active_meter() -> Meter | None:
    """The meter of the energy that runs, or is bound, right now."""
    return _ACTIVE.get()


def _enter(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    meter = _ACTIVE.get()
    if meter is None or not meter.knows(module):
        return
    meter.depth += 1
    inputs = _tensors([*args, *kwargs.values()])
    if inputs and not meter.counted_at:
        meter.counted_at = meter.depth
        meter._count(module, inputs)


def _leave(module: nn.Module, args: Any, output: Any) -> None:
    meter = _ACTIVE.get()
    if meter is not None and meter.knows(module):
        meter.counted_at = 0 if meter.counted_at == meter.depth else meter.counted_at
        meter.depth -= 1


def _tensors(values: list[Any]) -> list[Tensor]:
    """The tensors among the arguments, including those inside mappings such as a batch of features."""
    flat = [v for value in values for v in (value.values() if isinstance(value, Mapping) else [value])]
    return [value for value in flat if isinstance(value, Tensor)]


def _tokens(inputs: list[Tensor]) -> int:
    """Number of positions in the first tensor that is not a scalar: ids `[…, T]` or embeddings `[…, T, D]`."""
    first = next((value for value in inputs if value.ndim), None)
    if first is None:
        return 0
    return first.numel() // first.shape[-1] if first.is_floating_point() and first.numel() else first.numel()


@contextmanager
def unannounced_modules() -> Iterator[list[nn.Module]]:
    """The modules with weights that energies run within the block, outside of the models that they announce.

    A model may be tried before it is announced: such a trial is no cost of the run.
    """
    run: list[tuple[nn.Module, Meter, int]] = []
    seen: list[nn.Module] = []

    def look(module: nn.Module, args: Any) -> None:
        meter = active_meter()
        if meter is None or meter.depth or meter.knows(module) or isinstance(module, nn.Embedding):
            return
        if any(True for _ in module.parameters(recurse=False)):
            run.append((module, meter, len(meter.models)))

    handle = register_module_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()
        for module, meter, announced in run:
            if not any(part is module for later in meter.models[announced:] for part in later.module.modules()):
                seen.append(module)

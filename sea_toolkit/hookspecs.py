"""Every hook of sea_toolkit on one page: the contract between the core and its plugins.

A plugin is a module (or object) with functions marked `@sea.hookimpl`, announced through the entry-point group
`sea_toolkit`. Each `sea_register_*` hook gets a `register` callback:

    @register("name")                      # a function, or a class whose keyword arguments are the options
    def name(...): ...

    register("name", target="package.module:attribute", summary="One line.")    # imported at first use

Keyword-only parameters of the registered callable are its options in a recipe: their annotation is checked,
their default is used, their line under `Args:` in the docstring is what `sea-toolkit describe` prints. The hub
records which plugin and distribution registered each name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from sea_toolkit.events import Event

PROJECT = "sea_toolkit"
"""Name of the pluggy project and of the entry-point group."""

SEA_API = 1
"""Version of this page. A plugin may state `sea_api = 1`; another number is refused at load."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Register = Callable[..., Any]


@hookspec
def sea_register_energies(register: Register) -> None:
    """Register energy terms: lower is better, in nats before the recipe's weight.

    Three forms. A function `f(response, **options) -> [P, C]` of a `SoftResponse` is differentiable; a function
    `f(prompts, texts, **options) -> [N]` of two lists of strings scores text only (a verifier, an API) and takes
    part in selection and acceptance; a class has `bind(context)`, called once per run, which returns an object
    with `__call__(response) -> [P, C]` and / or `score_text(prompts, texts) -> [N]`.
    """


@hookspec
def sea_register_relaxations(register: Register) -> None:
    """Register relaxations: `f(logits, **options) -> weights`, both `[P, C, T, K]`, rows summing to one.

    Or `f(points, space, **options) -> weights [P, C, T, V]`, if the first parameter is called `points`: the sampler's
    latent is then a point of the policy's embedding space per position, `[P, C, T, D]` (see
    `sea_toolkit.lm.embedding_space`). A parameter named `noise` before the options is filled with the run's `Noise`
    (see `sea_toolkit.core.noise`).
    """


@hookspec
def sea_register_schedules(register: Register) -> None:
    """Register schedules: `f(progress, step, **options) -> float`, progress in [0, 1].

    Any number of a recipe can be one: `weight = { schedule = "cosine", start = 1.0, end = 0.3 }`. A schedule that
    follows the run is a class with `at(progress, step) -> float`, `observe(seen)`, called after each step with an
    `Observation`, `state()` and `load_state(state)` of plain data (see `sea_toolkit.schedules.reactive`). Each place of
    a recipe gets an instance of its own, each run begins afresh. Options of samplers and relaxations may be one.
    """


@hookspec
def sea_register_samplers(register: Register) -> None:
    """Register samplers: a class that derives from `sea_toolkit.samplers.base.Sampler`."""


@hookspec
def sea_register_initializers(register: Register) -> None:
    """Register initializers: `f(problem, noise, **options) -> ids [P, C, T]`, where the chains start.

    What `sea_toolkit.lm.decoding.decode` returns is taken too: log π of the tokens is then not computed again. A class
    whose instances are called with problem and noise will do as well; its `locked_text`, if not None, begins all
    answers, and no sampler can change it.
    """


@hookspec
def sea_register_models(register: Register) -> None:
    """Register named models: a class that derives from `sea_toolkit.models.named.NamedModel`, with `role` ("policy" or
    "reward"), `license`, `megabytes`, `find() -> Path | None`, `pull(progress) -> Path` and `remove() -> bool`.
    """


@hookspec
def sea_register_commands(cli: click.Group) -> None:
    """Add commands to `sea-toolkit`: `@cli.command()` inside the hook. Built-in names cannot be replaced."""


@hookspec
def sea_observe(event: Event) -> None:
    """Watch a run: called at its start, after each step, at each checkpoint and at its end.

    An observer that raises is reported once, named, and left out for the rest of the run; the run goes on.
    """

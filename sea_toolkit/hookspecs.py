"""Every hook of sea_toolkit on one page: the contract between the core and its plugins.

A plugin is a module (or object) with functions marked `@sea.hookimpl`, announced through the entry-point group
`sea_toolkit`. Each `sea_register_*` hook gets a `register` callback:

    @register("name")                      # a function, or a class whose keyword arguments are the options
    def name(...): ...

    register("name", target="package.module:attribute", summary="One line.")    # imported at first use

Keyword-only parameters of a function, or the constructor parameters of a class, are the options in a recipe: values are
checked against the annotation, and `sea-toolkit describe` prints the text under `Args:` in the docstring. Each name is
recorded with the plugin and the distribution that registered it.
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
"""Version of this contract. A plugin may state `sea_api = 1`; a plugin with another number is refused."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Register = Callable[..., Any]


@hookspec
def sea_register_energies(register: Register) -> None:
    """Register energy terms: lower is better, in nats before the recipe's weight.

    There are three forms. A function `f(response, **options) -> [P, C]` of a `SoftResponse` is differentiable. A
    function `f(prompts, texts, **options) -> [N]` of two lists of strings scores text only (a verifier, an API) and
    takes part in selection and acceptance. A class has `bind(context)`, which is called once per run and returns such a
    function or a `sea_toolkit.BoundEnergy`; it derives from `sea_toolkit.Energy` if it declares more.
    """


@hookspec
def sea_register_relaxations(register: Register) -> None:
    """Register relaxations: `f(logits, **options) -> weights`, both `[P, C, T, K]`, rows summing to one.

    If the first parameter is called `points`, the form is `f(points, space, **options) -> weights [P, C, T, V]`: the
    sampler's latent is then a point of the policy's embedding space per position, `[P, C, T, D]`, and `space` a
    `sea_toolkit.EmbeddingSpace`. A parameter named `noise` before the options gets the run's `sea_toolkit.Noise`.
    """


@hookspec
def sea_register_schedules(register: Register) -> None:
    """Register schedules: `f(progress, step, **options) -> float`, progress in [0, 1].

    A schedule can stand for a number of a recipe: `weight = { schedule = "cosine", start = 1.0, end = 0.3 }`. A
    schedule that follows the run is a class with `at(progress, step) -> float`, `observe(seen)`, which is called after
    each step with a `sea_toolkit.Observation`, and `state()` and `load_state(state)` of plain data. Each place of a
    recipe has its own instance, and each run starts with a fresh one. Such schedules are for options of samplers and
    relaxations.
    """


@hookspec
def sea_register_samplers(register: Register) -> None:
    """Register samplers: classes that derive from `sea_toolkit.Sampler`."""


@hookspec
def sea_register_initializers(register: Register) -> None:
    """Register initializers: `f(problem, noise, **options) -> ids [P, C, T]`, where the chains start.

    An initializer may also return what `sea_toolkit.decode` returns; log π of the tokens is then not computed again. A
    class derives from `sea_toolkit.Initializer` and has `write(problem, noise, keep_cache)`. If its `locked_text` is
    not None, every answer begins with that text, and no sampler can change it.
    """


@hookspec
def sea_register_models(register: Register) -> None:
    """Register named models: classes that derive from `sea_toolkit.NamedModel`.

    They declare `role` ("policy" or "reward"), `license` and `megabytes`, and have `find() -> Path | None`,
    `pull(progress) -> Path` and `remove() -> bool`.
    """


@hookspec
def sea_register_recipes(register: Register) -> None:
    """Register recipes: TOML files of the package, or `f(**options) -> dict`, functions that return plain data.

    `register("name", target="package:name.toml", summary="One line.")` names a file by its place in a package; it is
    read at first use. A file has options where a table `options` says what they set.
    """


@hookspec
def sea_register_engines(register: Register) -> None:
    """Register engines: `f(job, tell, **options) -> None`, which gives pieces of work to workers.

    A piece is a shard of many prompts, a cell of a comparison, or a batch of a sweep.

    `job` is a `sea_toolkit.Job`: plain data that can travel. A worker's process makes `job.worker()`, and asks it
    to `load()` and to `run(piece)` for pieces of `job.left()`. The engine replaces workers that die, calls
    `tell(piece)` for each piece that is settled, and returns when there is nothing left that it can do.
    """


@hookspec
def sea_register_commands(cli: click.Group) -> None:
    """Add commands to `sea-toolkit`: `@cli.command()` inside the hook. Built-in names cannot be replaced."""


@hookspec
def sea_observe(event: Event) -> None:
    """Watch a run: called at its start, after each step, at each checkpoint and at its end.

    An observer that raises is named in the result's notes and is not called again in this run; the run goes on.
    """

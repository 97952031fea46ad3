"""The hub of a command, and the options that say what it may use: plugins, code, servers."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from sea_toolkit.cli.ending import traceback_option
from sea_toolkit.registry.hub import PluginHub


def _files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def plugin_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--plugin`, `--strict-plugins` and `--traceback`."""
    file = click.option(
        "--plugin",
        "plugin",
        multiple=True,
        metavar="FILE",
        shell_complete=_files,
        help="Also use this one-file plugin.",
    )
    strict = click.option("--strict-plugins", is_flag=True, help="Let any broken plugin be an error.")
    return file(strict(traceback_option(function)))


def code_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--allow-code`."""

    def reachable(ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
        if names and not {"", os.getcwd()} & set(sys.path):
            sys.path.append(os.getcwd())  # last: a file here must not replace an installed module
        return names

    return click.option(
        "--allow-code",
        multiple=True,
        metavar="MODULE:FUNCTION",
        callback=reachable,
        help="Let the energies run this Python function, installed or in this folder; a recipe cannot allow it.",
    )(function)


def network_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--allow-network`."""
    return click.option(
        "--allow-network",
        multiple=True,
        metavar="HOST:PORT",
        help="Let the energies send prompts and answers to this server; a recipe cannot allow it.",
    )(function)


def trust_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--trust-remote-code`."""
    return click.option(
        "--trust-remote-code", is_flag=True, help="Run Python that comes with a model; a recipe cannot allow it."
    )(function)


def with_hub(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--plugin` and `--strict-plugins` of its own, and the hub as its first argument.

    Options before the command's name and after it are combined.
    """

    @plugin_options
    @click.pass_context
    @functools.wraps(function)
    def command(ctx: click.Context, plugin: tuple[str, ...], strict_plugins: bool, **arguments: Any) -> Any:
        root = ctx.find_root()
        root.obj = hub_for(ctx)  # whose failures are told at the end
        return function(root.obj, **arguments)

    return command


def hub_for(ctx: click.Context) -> PluginHub:
    """The hub of a command, with the plugin options before its name and after it."""
    before, own = ctx.find_root().params, ctx.params
    if ctx.parent is None or not (own.get("plugin") or own.get("strict_plugins")):
        return hub_of(ctx)
    strict = own.get("strict_plugins", False) or before.get("strict_plugins", False)
    return PluginHub.discover(files=[*before.get("plugin", ()), *own.get("plugin", ())], strict=strict)


def hub_of(ctx: click.Context) -> PluginHub:
    """The hub of this invocation, made from the options before the command's name."""
    root = ctx.find_root()
    if not isinstance(root.obj, PluginHub):
        options = root.params
        root.obj = PluginHub.discover(files=options.get("plugin", ()), strict=options.get("strict_plugins", False))
    return root.obj

"""The group `sea-toolkit`: which commands there are, the options they share, and how errors look."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from sea_toolkit.cli.command import Group
from sea_toolkit.cli.crew import joined, refuse_together, say_which
from sea_toolkit.cli.ending import end, say_traceback, tracebacks_as_asked
from sea_toolkit.cli.hub_options import hub_of, plugin_options
from sea_toolkit.cli.interrupt import exit_code, noticed
from sea_toolkit.cli.output import nothing_printed, prepare_streams, put_back, results_only, say
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.version import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    "align": (
        "sea_toolkit.cli.align:align",
        "Move the policy's answers to PROMPTS towards higher reward, and show what was gained.",
    ),
    "resume": (
        "sea_toolkit.cli.resume:resume",
        "Go on with the run in DIR (made by `align --out DIR`), as if it had never stopped.",
    ),
    "show": (
        "sea_toolkit.cli.show:show",
        "Show the run in DIR (made by `align --out DIR`): how far it is, and what it has found.",
    ),
    "status": (
        "sea_toolkit.cli.status:status",
        "Show how far the many prompts in DIR are (made by `align --prompts FILE --batch N --out DIR`).",
    ),
    "merge": (
        "sea_toolkit.cli.merge:merge",
        "Write the answers to the many prompts in DIR to one table, in the order of the prompts, each once.",
    ),
    "report": (
        "sea_toolkit.cli.report:report",
        "Write a page about DIR: a run (`align --out`), a comparison (`compare --out`) or a sweep (`pareto --out`).",
    ),
    "compare": (
        "sea_toolkit.cli.compare:compare",
        "Run several samplers on the same PROMPTS at the same budgets, and say what differs.",
    ),
    "recipe": (
        "sea_toolkit.cli.recipe:recipe",
        "Recipes: list those with a name, show one with all defaults, check one before it is paid for.",
    ),
    "pareto": (
        "sea_toolkit.cli.pareto:pareto",
        "Answer PROMPTS under many weights of the objectives in one sweep, and show the whole trade-off.",
    ),
    "calibrate": (
        "sea_toolkit.cli.calibrate:calibrate",
        "Measure the terms of RECIPE on the policy's own answers to PROMPTS, and keep the numbers in the recipe.",
    ),
    "fit-compass": (
        "sea_toolkit.cli.fit_compass:fit_compass",
        "Find out which of the policy's words a reward likes, on its answers to PROMPTS, and keep that in a file.",
    ),
    "score": (
        "sea_toolkit.cli.score:score",
        "Score the answers in TABLE as a run scores the texts that it meets.",
    ),
    "preferences": (
        "sea_toolkit.cli.preferences:preferences",
        "Write pairs of answers of finished RUNs, for trainers such as DPO.",
    ),
    "serve": (
        "sea_toolkit.cli.serve:serve",
        "Answer over HTTP, as OpenAI's API does: chat and text completions whose answers are aligned by a recipe.",
    ),
    "list-plugins": ("sea_toolkit.cli.list_plugins:list_plugins", "Show the plugins and how they fare."),
    "describe": ("sea_toolkit.cli.describe:describe", "Explain an item and its options."),
    "new-plugin": (
        "sea_toolkit.cli.new_plugin:new_plugin",
        "Write the package sea-NAME: code that works, tests, README, CI and licence.",
    ),
    "models": ("sea_toolkit.cli.models:models", "Named models: list, download and remove them."),
    "bridge": (
        "sea_toolkit.cli.bridge:bridge",
        "Measure how the classifier REWARD leads the words of POLICY, though its tokenizer is another one.",
    ),
    "train-probe": (
        "sea_toolkit.cli.train_probe:train_probe",
        "Fit a reward on the hidden states of a language model or encoder to the texts in DATA.",
    ),
    "reward": ("sea_toolkit.cli.reward:reward", "Rewards: look at what one reads, and what it says."),
}
"""Name to the command's object and its line in `--help`; a command is imported only to run it."""


class LazyGroup(Group):
    """Imports a built-in command when it is asked for, and plugins only for a command that is not built-in."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The built-in commands; those of plugins would need an import, `list-plugins` names them."""
        return list(COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Built-in commands and options, and commands of plugins as far as their source shows them."""
        hub_of(ctx).inspect()
        more = [name for name in self.known_commands(ctx) if name not in COMMANDS and name.startswith(incomplete)]
        return [*super().shell_complete(ctx, incomplete), *map(CompletionItem, more)]

    def known_commands(self, ctx: click.Context) -> list[str]:
        """Built-in ones and those of plugins, which have been loaded for an unknown name."""
        return [*COMMANDS, *(name for record in hub_of(ctx).records for name in record.provides.get("command", {}))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A built-in command, else one that a plugin adds."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        plugin_commands = click.Group()
        with nothing_printed():
            hub_of(ctx).add_commands(plugin_commands, reserved=COMMANDS)
        return plugin_commands.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the command up; an unknown one gets a did-you-mean and a word on broken plugins."""
        try:
            found = super().resolve_command(ctx, args)
            refuse_together(found[0])
            return found
        except click.UsageError as error:
            with results_only():  # until the process ends: plugins that were asked for the command may print still
                pass
            lines = [error.message]
            for record in (r for r in hub_of(ctx).records if r.failed):
                lines.append(f"it may be missing because {record.label} is {record.status}: {record.error}")
            raise click.UsageError("\n".join(lines), ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' table without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that is asked for."""
        try:
            super().invoke(ctx)
        except KeyboardInterrupt:  # click would say "Aborted!"
            say("interrupted", err=True)
            ctx.exit(exit_code())
        finally:
            for record in ctx.obj.records if isinstance(ctx.obj, PluginHub) else ():
                if record.exception is not None:
                    say_traceback(record.exception)

    def main(self, *arguments: Any, standalone_mode: bool = True, **named: Any) -> Any:
        """Run and end the process; a mistake is a message on stderr and an exit code, never a traceback.

        Without `standalone_mode` errors are raised, and standard output is the caller's again afterwards.
        """
        prepare_streams()
        with tracebacks_as_asked():
            return self._main(*arguments, standalone_mode=standalone_mode, **named)

    def _main(self, *arguments: Any, standalone_mode: bool, **named: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            try:
                return run(*arguments, standalone_mode=False, **named)
            finally:
                put_back()
        with noticed() as pressed:
            try:
                with joined():
                    code = run(*arguments, standalone_mode=False, **named) or 0
                if pressed.is_set() and code != exit_code():  # something has swallowed it
                    code = end(KeyboardInterrupt(), interrupted=True)
            except BaseException as error:
                if isinstance(error, SystemExit) and not pressed.is_set():
                    raise
                say_which(error)
                code = end(error, interrupted=pressed.is_set())
        sys.exit(code)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Installed plugins may add commands; `sea-toolkit list-plugins` names them.",
)
@click.version_option(VERSION, prog_name="sea-toolkit")
@plugin_options
@click.pass_context
def main(ctx: click.Context, plugin: tuple[str, ...], strict_plugins: bool) -> None:
    """Align language models at inference time: compose energies and move the model's answer downhill."""
    hub_of(ctx)

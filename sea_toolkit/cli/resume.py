"""`sea-toolkit resume`: go on with a run from its last checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sea_toolkit.cli.arguments import PATH
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.engine import asked_engine
from sea_toolkit.cli.hub_options import code_option, network_option, trust_option, with_hub
from sea_toolkit.cli.many import carry_out, is_many, refuse
from sea_toolkit.cli.shared_options import engine_options, memory_option, shard_option, time_option
from sea_toolkit.cli.show_run import show
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed, server_of
from sea_toolkit.shards.part import Part

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--steps", type=click.IntRange(min=1), help="Go on to this many steps in all.")
@click.option("--budget", type=float, help="Go on to this compute per prompt in all, in base samples.")
@time_option
@click.option("--force", is_flag=True, help="Go on though plugins or models have changed; the manifest records it.")
@shard_option
@engine_options
@memory_option
@click.option("--retry-failed", is_flag=True, help="Of many prompts: try those again that have no answer.")
@code_option
@network_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else: one object per prompt.")
@with_hub
def resume(
    hub: PluginHub,
    folder: Path,
    steps: int | None,
    budget: float | None,
    max_seconds: float | None,
    force: bool,
    shard: Part | None,
    engine: dict[str, Any] | None,
    workers: int | None,
    gpus_per_worker: float | None,
    address: str | None,
    retry_failed: bool,
    allow_code: tuple[str, ...],
    allow_network: tuple[str, ...],
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Go on with the run in DIR (made by `align --out DIR`), as if it had never stopped.

    A run that is done gives its results again; with --steps or --budget it goes on for longer. Of many prompts (made by
    `align --batch N --out DIR`), those are answered that nobody has answered yet.
    """
    allowed = Allowed(allow_code, allow_network)
    again = resume_command(hub, folder, allowed, trust_remote_code)
    crew = asked_engine(engine, workers, gpus_per_worker, address, {})
    if is_many(folder):
        given = {"--steps": steps, "--budget": budget, "--max-seconds": max_seconds, "--force": force}
        refuse(given, "the plan as it is")
        refuse({"--json": as_json}, f"sea-toolkit merge {folder} --to results.jsonl, when all is done")
        from sea_toolkit.shards.store import Store

        store = Store(folder)
        if retry_failed:
            store.retry_failed()
        carry_out(store, hub, allowed, trust_remote_code, shard, crew, again)
    for name, asked in {"--shard": shard, "--retry-failed": retry_failed, "an engine": crew}.items():
        if asked:
            raise RecipeError(
                f"{name}, and {folder} is no folder of many prompts",
                expected="one that align --batch N --out DIR has made",
            )

    def start(on_event: Callable[..., None], progress: Callable[..., None]) -> Any:
        if steps is None and budget is None:
            from sea_toolkit.runs.stored import finished

            done = finished(folder)
            if done is not None:
                return done.results
        from sea_toolkit.api import resume as run

        return run(
            folder,
            hub=hub,
            steps=steps,
            budget=budget,
            allow_code=allow_code,
            allow_network=allow_network,
            trust_remote_code=trust_remote_code,
            force=force,
            max_seconds=max_seconds,
            on_event=on_event,
            on_interrupt="raise",
            progress=progress,
        )

    show(start, as_json, folder, f"loading the run in {folder}", again)


def resume_command(hub: PluginHub, out: Path | None, allowed: Allowed, trust_remote_code: bool) -> str | None:
    """What to type to go on with this run, without the options that its folder knows."""
    if out is None:
        return None
    words = ["sea-toolkit", "resume", str(out)]
    for record in hub.records:
        words += ["--plugin", record.value] if record.from_user and record.file else []
    for function in allowed.code:
        words += ["--allow-code", function]
    for server in dict.fromkeys(map(server_of, allowed.network)):
        words += ["--allow-network", server]
    return shlex.join([*words, "--trust-remote-code"] if trust_remote_code else words)

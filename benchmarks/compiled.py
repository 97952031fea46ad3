"""What `policy.compile` brings to a policy's passes without a gradient, and what it costs.

    python benchmarks/compiled.py
    python benchmarks/compiled.py            # again: with the kernels that the first call left on the disk

The blocks share one compiled function with dynamic shapes. Passes with and without it are measured by turns, in
processor seconds; compiling is counted with the compilers that it starts.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # read when torch is imported: children that are counted

import click
import torch
from shapes import NAMES, build_policy, default_prompt
from torch import Tensor
from torch._dynamo.utils import counters

from sea_toolkit.lm.kv_cache import buffered_cache, crop_cache
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.compiled_blocks import CompiledBlocks
from sea_toolkit.registry.hub import PluginHub

WRITTEN = 10
"""Tokens of the answer before the one that is decoded."""


def passes(policy: Policy, prompt: str, tokens: int) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Names of passes after one prompt, and the passes."""
    (row,) = policy.encode([prompt], tokens)
    prefix, ids = policy.prefix([row]), torch.randint(100, 500, (1, 16, tokens), generator=torch.Generator())
    embeds = policy.backbone.embedding(ids)

    def decoding(rows: int) -> Callable[[], Tensor]:
        cache = buffered_cache(prefix.rows(rows), tokens)
        start = len(row) + WRITTEN
        written = torch.ones(rows, start, dtype=torch.bool), torch.arange(len(row), start).expand(rows, -1)
        with torch.no_grad():
            policy.backbone.run(embeds[0, :rows, :WRITTEN], *written, cache)

        @torch.no_grad()
        def step() -> Tensor:
            crop_cache(cache, start)
            seen, places = torch.ones(rows, start + 1, dtype=torch.bool), torch.full((rows, 1), start)
            return policy.backbone.run(embeds[0, :rows, WRITTEN : WRITTEN + 1], seen, places, cache)

        return step

    for rows in (1, 4, 16):
        yield f"one token of {rows}", decoding(rows)

    @torch.no_grad()
    def read() -> Tensor:
        return policy.backbone.hidden(prefix, embeds[:, :4])

    yield f"{tokens} tokens of 4", read


def spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = spent()
    found = work()
    return spent() - start, found


@click.command(help=__doc__)
@click.option("--shape", type=click.Choice(NAMES), default="smollm2-135m", show_default=True)
@click.option("--dtype", default="float32", show_default=True)
@click.option("--tokens", default=32, show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--only", default="", help="Passes whose name begins so.")
@click.option("--backend", default="inductor", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(shape: str, dtype: str, tokens: int, rounds: int, only: str, backend: str, threads: int) -> None:
    torch.set_num_threads(threads)
    policy = build_policy(shape, "cpu", dtype, PluginHub.discover(plugins=()))
    blocks = CompiledBlocks(policy.backbone, backend)

    def compiled(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
        blocks.install()
        try:
            return measured(work)
        finally:
            blocks.remove()

    head = ["pass", "ms", "ms compiled", "ratio (quartiles)", "error", "graphs", "s to compile"]
    click.echo("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for name, work in passes(policy, default_prompt(shape), tokens):
        if not name.startswith(only):
            continue
        right, before = work(), counters["stats"]["unique_graphs"]
        first, found = compiled(work)
        compiled(work)
        graphs, error = counters["stats"]["unique_graphs"] - before, float((found - right).norm() / right.norm())
        pairs = []
        for _ in range(rounds):
            plain = measured(work)[0]
            pairs.append((plain, compiled(work)[0]))
        plain, quick = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        low, middle, high = statistics.quantiles([a / b for a, b in pairs], n=4)
        click.echo(
            f"| {name} | {1e3 * plain:.1f} | {1e3 * quick:.1f} | {middle:.2f} ({low:.2f}–{high:.2f}) "
            f"| {error:.0e} | {graphs} | {first - quick:.1f} |"
        )


if __name__ == "__main__":
    main()

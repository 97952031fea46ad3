"""One step of a sampler with a large policy and a large reward model, beside what the device can do at most.

    python benchmarks/gpu.py --policy llama-3-8b --reward llama-3-8b --device cuda --dtype bfloat16
    python benchmarks/gpu.py --policy tiny --reward tiny --device cpu --dtype float32

Weights are random and no network is needed; the reward is a classifier of the policy's tokens, read from a folder as a
user's would be (its weights are written there first: 15 GB for 8B). The floor of a step is the larger of two: the
operations of its linear layers at the rate of a large matrix product, and the weights that they read at the rate of a
copy. `busy` is the share of the time in which the device computes.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from measure import Memory, product, seconds
from products import Products
from shapes import SHAPES, build_classifier, build_policy, default_prompt

import sea_toolkit as sea
from sea_toolkit.models.compiled_blocks import compile_blocks
from sea_toolkit.registry.hub import PluginHub

PRODUCT = {"cuda": (4096, 4096, 4096), "cpu": (512, 1024, 4096)}
COPIED = 2**28
"""Bytes that are copied to measure the bandwidth: read once and written once."""


@click.command(help=__doc__)
@click.option("--policy", "policy_shape", type=click.Choice(list(SHAPES)), default="llama-3-8b", show_default=True)
@click.option("--reward", "reward_shape", type=click.Choice(list(SHAPES)), default="llama-3-8b", show_default=True)
@click.option("--device", default="cuda", show_default=True)
@click.option("--dtype", default="bfloat16", show_default=True)
@click.option("--sampler", "samplers", multiple=True, default=("sea-adam", "sea", "tilted"), show_default=True)
@click.option("--chains", default=4, show_default=True)
@click.option("--tokens", default=128, show_default=True)
@click.option("--steps", default=5, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="As policy.compile = true.")
def main(
    policy_shape: str, reward_shape: str, device: str, dtype: str, samplers: tuple[str, ...], chains: int, tokens: int,
    steps: int, compiled: bool,
) -> None:  # fmt: skip
    place, hub = torch.device(device), PluginHub.discover(plugins=())
    policy = build_policy(policy_shape, device, dtype, hub)
    if compiled:
        compile_blocks(policy.backbone)
    rate, bandwidth = limits_of(place, getattr(torch, dtype))
    click.echo(f"{name_of(place)}: {rate / 1e12:.3g} TFLOP/s, {bandwidth / 1e9:.3g} GB/s, {dtype}\n")
    head = ["sampler", "s a step", "× larger floor", "floor by", "busy", "peak MiB"]
    click.echo("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    with tempfile.TemporaryDirectory() as folder:
        build_classifier(reward_shape, dtype, Path(folder))
        aligner = sea.Aligner(policy=policy)
        for name in samplers:

            def run(steps: int, name: str = name) -> list[sea.Result]:
                return aligner.align(
                    [default_prompt(policy_shape)], reward={folder: 8.0}, sampler=name, chains=chains,
                    max_new_tokens=tokens, steps=steps, seed=0,
                )  # fmt: skip

            memory, few, many = Memory(place), Products(), Products()
            with few.recording():
                run(1)  # warms up
            memory.reset()
            with many.recording():
                run(1 + steps)
            peak = memory.peak()
            if compiled:
                run(1 + steps)  # what is recorded runs uncompiled
            spent = (seconds(lambda: run(1 + steps), 1, place)[0] - seconds(lambda: run(1), 1, place)[0]) / steps
            by = {
                "operations": (many.flops - few.flops) / steps / rate,
                "weights": (many.bytes - few.bytes) / steps / bandwidth,
            }
            larger = max(by, key=by.__getitem__)
            cells = [f"`{name}`", f"{spent:.3f}", f"{spent / by[larger]:.1f}", larger, busy(run, place), f"{peak:.0f}"]
            click.echo("| " + " | ".join(cells) + " |")


def limits_of(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of a large product, and bytes read per second."""
    shape = PRODUCT["cpu" if device.type == "cpu" else "cuda"]
    work = product(*shape, dtype, device)
    work()
    rate = 2.0 * math.prod(shape) / min(seconds(work, 3, device)[0] for _ in range(3))
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = min(seconds(lambda: target.copy_(source), 3, device)[0] for _ in range(3))
    return rate, 2 * COPIED / copied


def busy(run: Callable[[int], object], device: torch.device) -> str:
    """The share of two steps' time in which kernels ran; a dash where there is no GPU to ask."""
    if device.type != "cuda":
        return "–"
    from torch.profiler import ProfilerActivity, profile

    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run(2)
        torch.cuda.synchronize(device)
    spent = time.perf_counter() - start
    return f"{sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6 / spent:.0%}"


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


if __name__ == "__main__":
    main()

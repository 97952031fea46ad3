"""Time and memory of one sampler step, beside a plain loop and the floor that arithmetic sets.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --shape llama-3.2-1b --device cuda --dtype bfloat16

Prints, for each dtype of the toolkit: seconds per step of `sea` and `sea-adam`, of the plain loop (float32, with the
weights under autograd as `from_pretrained` leaves them, and with frozen weights), the ratios, the floor (floating-point
operations in the ledger over the measured rate of the fastest matrix product) and the peak memory of a step.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
import transformers
from measure import Memory, Timing, product, seconds
from plain_loop import PlainLoop
from shapes import NAMES, build_policy, default_prompt, find_probe

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.problem import Problem
from sea_toolkit.readers.probe import Probe
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe

SAMPLERS = ("sea", "sea-adam")
PLAIN = ("plain", "plain-frozen")
BLOCK = 5
"""`sea` scores its texts in every fifth step, and that belongs to the step's price."""


class ToolkitSteps:
    """A sampler that goes on from step to step, as the run loop drives it."""

    def __init__(self, sampler: str, policy: Policy, hub: PluginHub, probe: str, prompt: str, chains: int, length: int):
        recipe = Recipe.parse(
            {
                "sampler": {"name": sampler, "chains": chains},
                "energies": [{"name": "reference"}, {"name": "reward", "model": probe, "weight": 8.0}],
                "max_new_tokens": length,
            }
        )
        composition = compose(recipe, hub)
        self.problem: Problem = composition.bind(policy, ModelFinder(hub), [prompt])
        self.sampler = composition.sampler
        self.noise = Noise.for_prompts([prompt], 0, policy.device)
        self.state, self.first = self.sampler.init(self.problem, self.noise)
        self.before = self.problem.ledger.flops

    def step(self) -> None:
        clock = self.problem.clock
        self.state, _ = self.sampler.step(self.problem, self.state, self.noise)
        clock.step += 1
        clock.progress = min(1.0, clock.step / (self.sampler.default_steps - 1))

    @property
    def flops_per_step(self) -> float:
        return (self.problem.ledger.flops - self.before) / max(1, self.problem.clock.step)


class Bench:
    """What the variants share: the models and the setting."""

    def __init__(self, shape: str, device: str, chains: int, tokens: int, prompt: str, folder: Path) -> None:
        self.hub = PluginHub.discover(plugins=())
        self.shape, self.device, self.chains, self.tokens = shape, device, chains, tokens
        self.prompt, self.folder = prompt, folder
        self.policies: dict[str, Policy] = {}
        self.probe_note = ""

    def policy(self, dtype: str) -> Policy:
        if dtype not in self.policies:
            self.policies[dtype] = build_policy(
                self.shape, self.device, "float32" if dtype == "plain" else dtype, self.hub
            )
        return self.policies[dtype]

    def toolkit(self, sampler: str, dtype: str) -> ToolkitSteps:
        policy = self.policy(dtype)
        probe, self.probe_note = find_probe(policy, self.hub, self.folder)
        return ToolkitSteps(sampler, policy, self.hub, probe, self.prompt, self.chains, self.tokens)

    def plain(self, variant: str) -> PlainLoop:
        policy = self.policy("plain")  # a copy of its own: a Policy freezes its model
        path, self.probe_note = find_probe(policy, self.hub, self.folder)
        (row,) = policy.encode([self.prompt], self.tokens)
        ids = torch.randint(
            2, policy.vocab_size, (self.chains, self.tokens), generator=torch.Generator().manual_seed(0)
        )
        start = ids.to(policy.device)
        return PlainLoop(policy.model, row, start, Probe.load(path), frozen=variant == "plain-frozen")


def peak_of_step(bench: Bench, variant: str, dtype: str) -> dict[str, float]:
    """MiB in use with the model loaded, and at the peak of a step; call it in a process of its own."""
    policy = bench.policy("plain" if variant in PLAIN else dtype)
    memory = Memory(policy.device)
    loaded = memory.reset()
    steps = bench.plain(variant) if variant in PLAIN else bench.toolkit(variant, dtype)
    steps.step()
    memory.reset()
    for _ in range(BLOCK if variant in SAMPLERS else 1):
        steps.step()
    return {"loaded_mb": loaded, "peak_mb": memory.peak(), "step_mb": memory.peak() - loaded}


def measure(
    bench: Bench, dtypes: tuple[str, ...], variants: tuple[str, ...], rounds: int, block: int
) -> dict[str, Any]:
    """Rounds in which every variant takes its turn; the first round warms up and is not counted."""
    works: dict[str, tuple[Callable[[], object], int]] = {}
    running: dict[str, ToolkitSteps] = {}
    for variant in variants:
        if variant in PLAIN:
            works[variant] = (bench.plain(variant).step, 1)
            continue
        for dtype in dtypes:
            key = f"{variant} {dtype}"
            running[key] = bench.toolkit(variant, dtype)
            works[key] = (running[key].step, block)
    policy = next(iter(bench.policies.values()))
    config, rows = policy.model.config, bench.chains * bench.tokens
    wide, inner = config.hidden_size, config.intermediate_size
    for dtype in dtypes:
        for shape in ((rows, wide, inner), (rows, inner, wide), (rows, wide, policy.vocab_size), (1024, 1024, 4096)):
            key = f"product {dtype} " + " x ".join(map(str, shape))
            works[key] = (product(*shape, getattr(torch, dtype), policy.device), 3)
    taken: dict[str, list[tuple[float, float]]] = {key: [] for key in works}
    for turn in range(rounds + 1):
        for key, (work, times) in works.items():
            spent = seconds(work, times, policy.device)
            if turn:
                taken[key].append(spent)
            if key in PLAIN:
                bench.policies["plain"].model.zero_grad(set_to_none=True)
    timings = {key: Timing.of(values) for key, values in taken.items()}
    flops = {key: steps.flops_per_step for key, steps in running.items()}
    return {"timings": timings, "flops": flops, "prompt_tokens": len(policy.encode([bench.prompt], 1)[0])}


def report(measured: dict[str, Any], dtypes: tuple[str, ...], memory: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Plain numbers: seconds per step, ratios to the plain loops and to the floor, memory."""
    timings: dict[str, Timing] = measured["timings"]
    out: dict[str, Any] = {"plain": {}, "toolkit": {}, "products_gflops": {}, "products_gflops_cpu": {}}
    for key, timing in timings.items():
        if key.startswith("product "):
            _, dtype, *shape = key.split()
            work = 2.0 * float(shape[0]) * float(shape[2]) * float(shape[4])
            out["products_gflops"].setdefault(dtype, {})["".join(shape)] = work / timing.median / 1e9
            out["products_gflops_cpu"].setdefault(dtype, {})["".join(shape)] = work / timing.cpu / 1e9
    for variant in PLAIN:
        if variant in timings:
            out["plain"][variant] = vars(timings[variant]) | memory.get(variant, {})
    for key, flops in measured["flops"].items():
        dtype = key.split()[1]
        floor = flops / (max(out["products_gflops"][dtype].values()) * 1e9)
        row: dict[str, Any] = vars(timings[key]) | memory.get(key, {})
        row |= {"flops": flops, "floor_seconds": floor, "times_floor": timings[key].median / floor}
        cpu_floor = flops / (max(out["products_gflops_cpu"][dtype].values()) * 1e9)
        row["times_floor_cpu"] = timings[key].cpu / cpu_floor
        for variant in out["plain"]:
            row[f"faster_than_{variant}"] = timings[variant].median / timings[key].median
            row[f"faster_than_{variant}_cpu"] = timings[variant].cpu / timings[key].cpu
            if key in memory and variant in memory:
                row[f"memory_of_{variant}"] = memory[key]["peak_mb"] / memory[variant]["peak_mb"]
                row[f"step_memory_of_{variant}"] = memory[key]["step_mb"] / memory[variant]["step_mb"]
        out["toolkit"][key] = row
    return out


def in_fresh_process(arguments: list[str], variant: str, dtype: str) -> dict[str, float]:
    command = [sys.executable, __file__, *arguments, "--memory-of", variant, "--dtype", dtype]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


@click.command(help=__doc__)
@click.option("--shape", type=click.Choice(NAMES), default="smollm2-135m", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", "dtypes", multiple=True, default=("float32", "bfloat16"), show_default=True)
@click.option("--variant", "variants", multiple=True, default=(*SAMPLERS, *PLAIN), show_default=True)
@click.option("--chains", default=4, show_default=True)
@click.option("--tokens", default=48, show_default=True)
@click.option("--prompt", default=None, help="Text; random shapes know the words w2, w3, … .")
@click.option("--rounds", default=5, show_default=True)
@click.option("--steps", default=BLOCK, show_default=True, help="Toolkit steps per round.")
@click.option("--threads", default=0, help="CPU threads; 0 leaves torch's choice.")
@click.option("--memory/--no-memory", default=True, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@click.option("--memory-of", default=None, hidden=True)
def main(
    shape: str,
    device: str,
    dtypes: tuple[str, ...],
    variants: tuple[str, ...],
    chains: int,
    tokens: int,
    prompt: str | None,
    rounds: int,
    steps: int,
    threads: int,
    memory: bool,
    as_json: bool,
    memory_of: str | None,
) -> None:
    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    prompt = prompt or default_prompt(shape)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(shape, device, chains, tokens, prompt, Path(folder))
        if memory_of is not None:
            click.echo(json.dumps(peak_of_step(bench, memory_of, dtypes[0])))
            return
        arguments = ["--shape", shape, "--device", device, "--chains", str(chains), "--tokens", str(tokens)]
        arguments += ["--prompt", prompt, "--threads", str(threads)]
        peaks = {}
        for variant in variants if memory else ():
            for dtype in dtypes if variant in SAMPLERS else ("float32",):
                key = variant if variant in PLAIN else f"{variant} {dtype}"
                peaks[key] = in_fresh_process(arguments, variant, dtype)
        measured = measure(bench, dtypes, variants, rounds, steps)
    found = report(measured, dtypes, peaks)
    found["setting"] = {
        "shape": shape,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "chains": chains,
        "tokens": tokens,
        "prompt_tokens": measured["prompt_tokens"],
        "reward": bench.probe_note,
        "rounds": rounds,
        "steps_per_round": steps,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    click.echo(json.dumps(found, indent=1) if as_json else as_text(found))


def as_text(found: dict[str, Any]) -> str:
    """Markdown tables; ratios of wall time, and of processor time in brackets."""
    lines = [", ".join(f"{k} {v}" for k, v in found["setting"].items()), ""]
    names = list(found["plain"])
    head = ["variant", "s/step (range)", "processor s", *(f"faster than {n}" for n in names), "× floor"]
    head += ["loaded MiB", "peak MiB", *(f"peak / {n}" for n in names)]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, row in {**found["toolkit"], **found["plain"]}.items():
        cells = [f"`{name}`", f"{row['median']:.3f} ({row['low']:.3f}–{row['high']:.3f})", f"{row['cpu']:.3f}"]
        for key in (*(f"faster_than_{n}" for n in names), "times_floor"):
            cells.append(f"{row[key]:.1f} ({row[key + '_cpu']:.1f})" if key in row else "")
        for key, form in (("loaded_mb", ".0f"), ("peak_mb", ".0f"), *((f"memory_of_{n}", ".2f") for n in names)):
            cells.append(format(row[key], form) if key in row else "")
        lines.append("| " + " | ".join(cells) + " |")
    for dtype, rates in found["products_gflops"].items():
        lines += ["", f"Matrix products, {dtype}, GFLOP/s: " + ", ".join(f"{k} {v:.1f}" for k, v in rates.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

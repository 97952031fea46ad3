"""How near to the machine's limits drawing and the samplers are, in processor seconds.

    python benchmarks/speed.py drawing --dtype bfloat16 --dtype float32
    python benchmarks/speed.py samplers --dtype bfloat16
    python benchmarks/speed.py scaling --dtype float32

`drawing` compares with `transformers.generate`, greedily and by turns, and checks that the tokens are the same.
`samplers` compares with the matrix products that a sampler does, alone, at its shapes (`products.py`), and with the
ledger's FLOPs at the machine's best rate, and shows where the time goes. `scaling` fits slopes on logarithmic axes.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from phases import NAMES as PHASES
from phases import Phases
from products import Clock, Products, Shape
from shapes import NAMES, SHAPES, build_policy, default_prompt, find_probe

import sea_toolkit as sea
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.hub import PluginHub

DEFAULT = ("tilted", "smc", "args", "suffix-mh", "best-of-n", "sea-guided", "sea", "sea-adam", "mala", "psgld")
STEPS = {"sea": 10, "sea-adam": 20, "mala": 10, "psgld": 10, "suffix-mh": 10}
"""Steps of the samplers that are not measured by their budget."""

BUDGET = 16
PEAK = (1024, 1024, 4096)
"""A product that is bound by arithmetic."""


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


@click.group(help=__doc__)
@click.option("--threads", default=1, show_default=True)
def main(threads: int) -> None:
    torch.set_num_threads(threads)


shape_option = click.option("--shape", type=click.Choice(NAMES), default="smollm2-135m", show_default=True)
dtypes_option = click.option("--dtype", "dtypes", multiple=True, default=("float32",), show_default=True)
rounds_option = click.option("--rounds", default=3, show_default=True)


@main.command(help="Tokens per processor second of greedy drawing, beside transformers.generate.")
@shape_option
@dtypes_option
@rounds_option
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 4, 16, 64), show_default=True)
@click.option("--tokens", default=32, show_default=True)
def drawing(shape: str, dtypes: tuple[str, ...], rounds: int, batches: tuple[int, ...], tokens: int) -> None:
    click.echo(
        "| dtype | batch | tokens per s | of generate | ratio (range) | matrix products alone, share |\n"
        + "|---" * 6
        + "|"
    )
    for dtype in dtypes:
        policy = build_policy(shape, "cpu", dtype, PluginHub.discover(plugins=()))
        clock, (row,) = Clock(), policy.encode([default_prompt(shape)], tokens)
        for batch in batches:
            products = Products()
            with products.recording():
                ours = draw(policy, row, batch, tokens)
            theirs = generate(policy, row, batch, tokens)
            if not torch.equal(ours, theirs):
                raise click.ClickException(f"{dtype}, batch {batch}: generate writes other tokens")
            pairs = []
            for _ in range(rounds):
                pairs.append(tuple(cpu_seconds(partial(f, policy, row, batch, tokens))[0] for f in (draw, generate)))
            mine, others = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
            ratios = sorted(b / a for a, b in pairs)
            click.echo(
                f"| {dtype} | {batch} | {batch * tokens / mine:.0f} | {batch * tokens / others:.0f} "
                f"| {others / mine:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) | {clock.seconds(products) / mine:.2f} |"
            )


def draw(policy: Policy, row: list[int], batch: int, tokens: int) -> torch.Tensor:
    return sea.decode(policy, policy.prefix([row]), None, length=tokens, chains=batch).ids[0]


def generate(policy: Policy, row: list[int], batch: int, tokens: int) -> torch.Tensor:
    ids = torch.tensor([row]).expand(batch, -1)
    found = policy.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, pad_token_id=policy.eos_ids[0]
    )
    answer = found[:, len(row) :]
    return torch.nn.functional.pad(answer, (0, tokens - answer.shape[1]), value=policy.eos_ids[0])


@main.command(help="A lone prompt through each sampler, beside its matrix products and its FLOPs.")
@shape_option
@dtypes_option
@rounds_option
@click.option("--sampler", "samplers", multiple=True, default=DEFAULT, show_default=True)
@click.option("--chains", default=4, show_default=True)
@click.option("--tokens", default=32, show_default=True)
@click.option("--prompts", default=1, show_default=True)
@click.option("--json", "to", type=click.Path(path_type=Path), default=None)
def samplers(
    shape: str, dtypes: tuple[str, ...], rounds: int, samplers: tuple[str, ...], chains: int, tokens: int, prompts: int,
    to: Path | None,
) -> None:  # fmt: skip
    head = ["dtype", "sampler", "s", "× products", "× FLOPs", "GB read", *PHASES]
    click.echo("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in dtypes:
            bench = Bench(shape, dtype, Path(folder))
            for name in samplers:
                setting: dict[str, Any] = {"chains": chains, "max_new_tokens": tokens}
                setting |= {"steps": STEPS[name]} if name in STEPS else {"budget": BUDGET}
                found = bench.measure(name, setting, prompts, rounds)
                rows.append({"dtype": dtype, "sampler": name, **found})
                shares = [f"{found['phases'].get(phase, 0.0):.0%}" for phase in PHASES]
                cells = [dtype, f"`{name}`", f"{found['seconds']:.2f}", f"{found['times_products']:.2f}"]
                cells += [f"{found['times_flops']:.1f}", f"{found['bytes'] / 1e9:.1f}", *shares]
                click.echo("| " + " | ".join(cells) + " |")
    if to is not None:
        to.write_text(json.dumps(rows, indent=1), encoding="utf-8")


class Bench:
    """A policy with its reward, loaded once."""

    def __init__(self, shape: str, dtype: str, folder: Path) -> None:
        hub = PluginHub.discover(plugins=())
        self.policy = build_policy(shape, "cpu", dtype, hub)
        probe, _ = find_probe(self.policy, hub, folder)
        terms = [{"name": "reference"}, {"name": "reward", "model": probe, "weight": 8.0}]
        self.aligner = sea.Aligner(policy=self.policy, recipe={"energies": terms})
        self.prompt, self.clock = default_prompt(shape), Clock()
        self.rate = 1 / self.clock.of(Shape(*PEAK, getattr(torch, dtype))) * 2.0 * math.prod(PEAK)

    def run(self, sampler: str, setting: dict[str, Any], prompts: int = 1) -> list[sea.Result]:
        """The same prompt several times has a random stream for each."""
        return self.aligner.align([self.prompt] * prompts, sampler=sampler, seed=0, **setting)

    def measure(self, sampler: str, setting: dict[str, Any], prompts: int, rounds: int) -> dict[str, Any]:
        products, phases, taken, flops = Products(), Phases(self.policy), [], 0.0
        with products.recording():
            self.run(sampler, setting, prompts)  # warms up
        for _ in range(rounds):
            with phases.timing():
                spent, results = cpu_seconds(lambda: self.run(sampler, setting, prompts))
            taken.append(spent)
            flops = results[0].ledger["flops"]
        seconds, total = statistics.median(taken), sum(taken)
        return {
            "seconds": seconds,
            "times_products": seconds / self.clock.seconds(products),
            "times_flops": seconds / (flops / self.rate),
            "flops": flops,
            "bytes": products.bytes,
            "phases": {name: spent / total for name, spent in phases.seconds.items()},
        }


SWEEPS = {
    "max_new_tokens": (16, 32, 64, 128, 256, 512),
    "chains": (1, 2, 4, 8, 16, 32, 64),
    "prompts": (1, 2, 4, 8, 16, 32, 64),
    "vocabulary": (32768, 65536, 131072, 262144),
}
"""What is varied, and its values; the other settings are `USUAL`."""

USUAL: dict[str, int] = {"max_new_tokens": 32, "chains": 4, "prompts": 1}


@main.command(help="How the processor seconds of a step grow with T, chains, prompts and vocabulary.")
@shape_option
@dtypes_option
@rounds_option
@click.option("--sampler", "samplers", multiple=True, default=("tilted", "sea"), show_default=True)
@click.option(
    "--sweep", "sweeps", multiple=True, type=click.Choice(list(SWEEPS)), default=list(SWEEPS), show_default=True
)
@click.option("--points", default=9, show_default=True, help="How many of a sweep's values are measured.")
@click.option("--json", "to", type=click.Path(path_type=Path), default=None)
@click.option("--plot", type=click.Path(path_type=Path), default=None, help="A figure of all sweeps.")
def scaling(
    shape: str, dtypes: tuple[str, ...], rounds: int, samplers: tuple[str, ...], sweeps: tuple[str, ...], points: int,
    to: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    click.echo("| dtype | sampler | what grows | values | s | slope from the second point |\n" + "|---" * 6 + "|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in dtypes:
            bench = None if "vocabulary" in sweeps and len(sweeps) == 1 else Bench(shape, dtype, Path(folder))
            for sweep in sweeps:
                for name in samplers:
                    values = SWEEPS[sweep][:points]
                    taken = [point(bench, dtype, Path(folder), name, sweep, value, rounds) for value in values]
                    slope = fitted(values[1:], taken[1:])
                    rows.append({"dtype": dtype, "sampler": name, "sweep": sweep, "values": values, "seconds": taken})
                    shown = ", ".join(f"{spent:.3g}" for spent in taken)
                    click.echo(f"| {dtype} | `{name}` | {sweep} | {values[0]} … {values[-1]} | {shown} | {slope:.2f} |")
    if to is not None:
        to.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if plot is not None:
        draw_sweeps(rows, plot)


def draw_sweeps(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each sweep with logarithmic axes; a dotted line of slope 1 from each first point."""
    import matplotlib.pyplot as plt

    sweeps = list(dict.fromkeys(row["sweep"] for row in rows))
    figure, axes = plt.subplots(1, len(sweeps), figsize=(3.4 * len(sweeps), 3.2), squeeze=False)
    for sweep, panel in zip(sweeps, axes[0], strict=True):
        for row in (row for row in rows if row["sweep"] == sweep):
            values, seconds = row["values"], row["seconds"]
            (line,) = panel.plot(values, seconds, marker="o", label=f"{row['sampler']}, {row['dtype']}")
            slope_one = [seconds[0] * value / values[0] for value in values]
            panel.plot(values, slope_one, linestyle=":", linewidth=0.8, color=line.get_color())
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:.0f}")
        panel.yaxis.set_major_formatter("{x:.3g}")
        panel.set_xlabel(sweep.replace("max_new_tokens", "tokens of an answer"))
    axes[0][0].set_ylabel("processor seconds of one call")
    axes[0][-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def point(bench: Bench | None, dtype: str, folder: Path, sampler: str, sweep: str, value: int, rounds: int) -> float:
    """Median processor seconds of one call; a vocabulary needs a model of its own."""
    if sweep == "vocabulary":
        SHAPES["vocabulary"] = SHAPES["tiny"] | {"vocab_size": value, "hidden_size": 64}
        bench = Bench("vocabulary", dtype, folder)
    assert bench is not None
    setting = USUAL | ({} if sweep == "vocabulary" else {sweep: value})
    prompts = setting.pop("prompts")
    # as much for each chain, whatever is varied
    given = {"steps": 2} if sampler in STEPS else {"budget": 4 * setting["chains"]}
    work = lambda: bench.run(sampler, setting | given, prompts)  # noqa: E731
    work()
    return statistics.median(cpu_seconds(work)[0] for _ in range(rounds))


def fitted(values: Sequence[int], seconds: list[float]) -> float:
    """Slope of the straight line through logarithms."""
    x, y = ([math.log(v) for v in some] for some in (values, seconds))
    return statistics.linear_regression(x, y).slope if len(x) > 1 else math.nan


if __name__ == "__main__":
    main()

"""How a run bears being killed, many prompts and many steps: what is lost, what differs, what grows.

    python benchmarks/soak.py [--quick] [--model FOLDER] [--seed N] [--samplers tilted,sea]

Kill points: for each of six samplers, real processes get SIGKILL, SIGTERM, SIGINT or SIGHUP at random moments and are
resumed until they are done; everything that the run leaves is compared with that of an uninterrupted one: tensors,
facts, result, recipe and trace, bit for bit. Prompts: one run over 200. Steps: resident memory at step 250 and at the
last of 2,000. The policy is a tiny one unless `--model` names another. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SAMPLERS = ("tilted", "suffix-mh", "smc", "sea", "sea-adam", "best-of-n")
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
CODES = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}
"""Exit codes that a signal leads to. A process that has written its end may also die of the signal on its way out; one
that ends with 0 was faster than the signal, which is not counted."""

WORKER = """
import sys, json
from sea_toolkit.cli import main
main(json.loads(sys.argv[1]))
"""
"""The command line; a process of its own each time."""

MEMORY = """
import json, os, sys
from sea_toolkit import api
from sea_toolkit.registry.hub import PluginHub
prompts, recipe, every = json.loads(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
page = os.sysconf("SC_PAGE_SIZE")

def watch(event):
    if event.kind == "step" and (event.step % every == 0 or event.step == event.steps):
        megabytes = int(open("/proc/self/statm").read().split()[1]) * page / 1e6
        print(json.dumps([event.step, megabytes]), flush=True)

api.align(prompts, recipe=recipe, on_event=watch, hub=PluginHub.discover(plugins=()))
"""


@dataclass
class Killed:
    """How the runs of one sampler fared."""

    sampler: str
    runs: int = 0
    signals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    equal: int = 0
    wrong: list[str] = field(default_factory=list)


def recipe_of(model: Path, sampler: str, steps: int) -> dict[str, object]:
    return {
        "policy": {"model": str(model)},
        "sampler": {"name": sampler, "steps": steps, "chains": 2},
        "max_new_tokens": 10,
        "energies": [{"name": "reference"}, {"name": "length", "target": 4.0}],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test: two samplers, four kills, few steps")
    parser.add_argument("--model", type=Path, help="folder of the policy instead of a tiny one")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--samplers", default="", help="only these, divided by commas, and nothing about memory")
    given = parser.parse_args()
    generator = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        root = Path(scratch)
        model = given.model or tiny(root / "model")
        samplers = given.samplers.split(",") if given.samplers else SAMPLERS[:2] if given.quick else SAMPLERS
        kills = 2 if given.quick else 10  # of each sampler
        rows = [kill_and_resume(root, model, s, kills, generator, given.quick) for s in samplers]
        print_kills(rows)
        if not given.samplers:
            print_growth(root, model, prompts=20 if given.quick else 200, steps=100 if given.quick else 2000)
    if any(row.wrong for row in rows):
        sys.exit(1)


def tiny(folder: Path) -> Path:
    """A tiny policy on disk."""
    from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def kill_and_resume(root: Path, model: Path, sampler: str, runs: int, generator: random.Random, quick: bool) -> Killed:
    """Runs of one sampler, each killed at one to three random moments."""
    row, home = Killed(sampler), root / sampler
    home.mkdir()
    file, steps = home / "recipe.toml", 20 if quick else 60
    file.write_text(toml(recipe_of(model, sampler, steps)), encoding="utf-8")
    start = ["align", "the rain in the town", "a", "--recipe", str(file), "--checkpoint-every", "3", "--json"]
    whole = finish(command([*start, "--out", str(home / "whole")]))
    begin, end = moments(home / "whole")
    for number in range(runs):
        folder = home / f"cut{number}"
        row.runs += 1
        words = [*start, "--out", str(folder)]
        for _ in range(generator.randint(1, 3)):
            name = generator.choice(SIGNALS)
            code = kill(words, folder, name, generator.uniform(0, 1.1 * (end - begin)))
            if (folder / "recipe.json").exists():
                words = ["resume", str(folder), "--json"]
            if code is None:
                break  # it was faster
            row.signals[name] += 1
            on_its_way_out = code == -getattr(signal, name) and (folder / "ended.json").exists()
            if code != CODES[name] and not on_its_way_out:
                row.wrong.append(f"{folder.name}: {name} ended with {code}")
        printed = finish(command(words))
        difference = differs(home / "whole", folder) or ("" if timeless(printed) == timeless(whole) else "stdout")
        if difference:
            row.wrong.append(f"{folder.name}: {difference}")
        else:
            row.equal += 1
    return row


def command(words: list[str], output: int = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "SEA_PLUGINS": ""}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(words)],
        env=environment, stdout=output, stderr=output, text=True, preexec_fn=plain_signals,
    )  # fmt: skip


def plain_signals() -> None:
    """A benchmark that runs in the background of a shell ignores SIGINT, and its children would too."""
    for name in SIGNALS[1:]:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def finish(process: subprocess.Popen[str]) -> str:
    """What a command prints.

    Raises:
        SystemExit: it failed.
    """
    stdout, stderr = process.communicate()
    if process.returncode:
        sys.exit(f"exit code {process.returncode}: {stderr}")
    return stdout


def kill(words: list[str], folder: Path, name: str, seconds: float) -> int | None:
    """Start a command, and send a signal so many seconds after its first step.

    Returns:
        The exit code; None if it had ended before.
    """
    # nobody reads what it prints, and a full pipe would hold it up for ever
    process, trace = command(words, subprocess.DEVNULL), folder / "trace.jsonl"
    before = trace.stat().st_mtime_ns if trace.exists() else 0
    while process.poll() is None and not (trace.exists() and trace.stat().st_mtime_ns > before):
        time.sleep(0.005)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(getattr(signal, name))
    else:
        return None
    process.wait()
    return None if process.returncode == 0 else process.returncode


def moments(folder: Path) -> tuple[float, float]:
    """When a run began to write, and when it ended."""
    return (folder / "recipe.json").stat().st_mtime, (folder / "result.json").stat().st_mtime


def differs(whole: Path, folder: Path) -> str:
    """What two runs left differently; nothing if they are the same, bit for bit, but for times and memory."""
    import torch

    from sea_toolkit.testing.runs import left_behind

    tensors, facts, result, trace = left_behind(whole)
    others = left_behind(folder)
    if tensors.keys() != others[0].keys() or any(not torch.equal(t, others[0][k]) for k, t in tensors.items()):
        return "tensors"
    if facts != others[1]:
        return "facts"
    if result != others[2]:
        return "result"
    if trace != others[3]:
        return "trace"
    return "" if (whole / "recipe.json").read_bytes() == (folder / "recipe.json").read_bytes() else "recipe"


def timeless(printed: str) -> object:
    from sea_toolkit.testing.runs import timeless as without_times

    return [without_times(json.loads(line)) for line in printed.splitlines()]


def toml(recipe: dict[str, object]) -> str:
    """The few kinds of values that the recipes here have."""

    def value(x: object) -> str:
        if isinstance(x, dict):
            return "{ " + ", ".join(f"{k} = {value(v)}" for k, v in x.items()) + " }"
        return "[" + ", ".join(map(value, x)) + "]" if isinstance(x, list) else json.dumps(x)

    return "".join(f"{k} = {value(v)}\n" for k, v in recipe.items())


def print_kills(rows: list[Killed]) -> None:
    print("| sampler | runs | KILL | TERM | INT | HUP | equal to the uninterrupted run |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        counts = " | ".join(str(row.signals[name]) for name in SIGNALS)
        print(f"| {row.sampler} | {row.runs} | {counts} | {row.equal} |")
        for line in row.wrong:
            print(f"| | | | | | | {line} |")
    print(flush=True)


def print_growth(root: Path, model: Path, *, prompts: int, steps: int) -> None:
    """Memory: of one run over many prompts, and of long ones."""
    print("| run | resident at step | MB | at step | MB |")
    print("|---|---|---|---|---|")
    many = [f"the rain in the town {i}" for i in range(prompts)]
    cases = [(f"suffix-mh, {prompts} prompts", many, "suffix-mh", 10), *((f"{s}, {steps} steps", ["the rain"], s, steps)
             for s in ("suffix-mh", "sea", "best-of-n"))]  # fmt: skip
    for title, asked, sampler, length in cases:
        recipe = recipe_of(model, sampler, length)
        every = max(1, length // 8)
        arguments = [json.dumps(asked), json.dumps(recipe), str(every)]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{title}: exit code {done.returncode}: {done.stderr}")
        points = [json.loads(line) for line in done.stdout.splitlines()]
        (early, low), (late, high) = points[0], points[-1]
        print(f"| {title} | {early} | {low:.1f} | {late} | {high:.1f} |", flush=True)


if __name__ == "__main__":
    main()

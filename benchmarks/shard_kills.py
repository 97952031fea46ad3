"""Random kills of whoever answers a file of prompts: is any prompt lost or doubled, is any byte of the table another?

    python benchmarks/shard_kills.py --rounds 20 --engine local

Each round answers 64 prompts with a tiny policy in shards of 4 by two workers. A process of the round is ended by
SIGKILL at a random moment: the command itself, a worker, or (with `--engine ray`) one of Ray's own. The command is
given again until it ends by itself, and the table is compared with that of one process that nobody disturbs.
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
from pathlib import Path

PROMPTS = 64
PLUGIN = """
import time
import sea_toolkit as sea

def slow(prompts, texts, *, seconds: float = 0.0):
    time.sleep(seconds)
    return [float(len(text)) for text in texts]

@sea.hookimpl
def sea_register_energies(register):
    register("slow", slow)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latest", type=float, default=40.0, help="seconds after which a kill may come at the latest")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="sea-kills-") as name:
        place = Path(name)
        prepare(place)
        expected = answered(place, place / "serial", [])
        for number in range(1, options.rounds + 1):
            print(json.dumps(one_round(place, number, options.engine, options.latest, expected, chance)), flush=True)


def prepare(place: Path) -> None:
    """A tiny policy, the plugin, and 64 prompts, some of them several times."""
    from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

    tiny_model("llama").save_pretrained(place / "model")
    tiny_tokenizer().save_pretrained(place / "model")
    (place / "slow.py").write_text(PLUGIN)
    words = ["the rain", "a sea", "in and on", "so it was"]
    rows = [{"prompt": f"{words[i % 4]} {i % 24}", "id": i} for i in range(PROMPTS)]
    (place / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))


def command(place: Path, out: Path, more: list[str]) -> list[str]:
    words = [sys.executable, "-m", "sea_toolkit", "align", "--prompts", str(place / "prompts.jsonl"), "--batch", "4"]
    words += ["--model", str(place / "model"), "--plugin", str(place / "slow.py"), "--energy", "slow=1,seconds=0.05"]
    words += ["--sampler", "suffix-mh", "--steps", "6", "--chains", "2", "--max-new-tokens", "6"]
    return [*words, "--checkpoint-every", "2", "--out", str(out), *more]


def answered(place: Path, out: Path, more: list[str]) -> bytes:
    """The table, by one process."""
    subprocess.run(command(place, out, more), check=True, capture_output=True)
    return table(out)


def table(out: Path) -> bytes:
    path = out.with_suffix(".jsonl")
    subprocess.run(
        [sys.executable, "-m", "sea_toolkit", "merge", str(out), "--to", str(path)], check=True, capture_output=True
    )
    return path.read_bytes()


def one_round(
    place: Path, number: int, engine: str, latest: float, expected: bytes, chance: random.Random
) -> dict[str, object]:
    """One kill, and what came of it."""
    out = place / f"round-{number}"
    words = command(place, out, ["--engine", engine, "--workers", "2"])
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(1.0, latest))
    victims = [process.pid, *below(process.pid)] if process.poll() is None else []
    victim = chance.choice(victims) if victims else None
    what = "nobody: it was done" if victim is None else name_of(victim, process.pid)
    if victim is not None:
        os.kill(victim, signal.SIGKILL)
    commands, code = 1, process.wait()
    while code != 0:
        commands += 1
        if commands > 5:
            raise SystemExit(f"round {number} does not end: {code}")
        code = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    got = table(out)
    indices = [json.loads(line)["index"] for line in got.splitlines()]
    return {
        "round": number,
        "killed": what,
        "commands": commands,
        "lost": PROMPTS - len(set(indices)),
        "doubled": len(indices) - len(set(indices)),
        "same_bytes": got == expected,
    }


def below(parent: int) -> list[int]:
    """All processes that descend from one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [parent]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def name_of(process: int, driver: int) -> str:
    if process == driver:
        return "the command"
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "a process that had ended"
    known = ("sea_toolkit.shards.process", "_Shards", "raylet", "gcs_server")
    line = " ".join(words)
    return next((name for name in known if name in line), Path(words[0]).name)


if __name__ == "__main__":
    main()

"""Random kills of whoever answers a file of prompts: is any prompt lost or doubled, is any byte of the table another?

    python benchmarks/shard_kills.py --rounds 12 --engine local
    python benchmarks/shard_kills.py --rounds 8 --engine ray

Each round answers 64 prompts with a tiny policy in shards of 4 by two workers. After a random number of shards a
process of the round is ended by SIGKILL: the command itself, a worker, or (with `--engine ray`) the raylet of its
cluster, each in its turn. The command is given again until it ends by itself, and the table is compared with that of
one process that nobody disturbs. Told as well: which processes, and which folders in /tmp, are left half a minute after
a round; what a cluster has left whose command was killed is removed by the next command.
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

PROMPTS, BATCH = 64, 4
KINDS = {"local": ("the command", "a worker"), "ray": ("the command", "a worker", "the raylet")}
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
    parser.add_argument("--engine", choices=sorted(KINDS), default="local")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="sea-kills-") as name:
        place = Path(name)
        prepare(place)
        expected = answered(place, place / "serial", [])
        for number in range(1, options.rounds + 1):
            print(json.dumps(one_round(place, number, options.engine, expected, chance)), flush=True)


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
    words = [
        sys.executable,
        "-m",
        "sea_toolkit",
        "align",
        "--prompts",
        str(place / "prompts.jsonl"),
        "--batch",
        str(BATCH),
    ]
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


def one_round(place: Path, number: int, engine: str, expected: bytes, chance: random.Random) -> dict[str, object]:
    """One kill, and what came of it."""
    out, before = place / f"round-{number}", left_in_tmp()
    words = command(place, out, ["--engine", engine, "--workers", "2"])
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wanted = chance.randrange(PROMPTS // BATCH - 2)
    while process.poll() is None and not (list(out.glob("working/*")) and len(list(out.glob("shards/*"))) >= wanted):
        time.sleep(0.05)
    time.sleep(chance.uniform(0.0, 1.0))
    kinds = KINDS[engine]
    started = [process.pid, *below(process.pid)]
    kind = kinds[number % len(kinds)]
    victims = [victim for victim in started if name_of(victim, process.pid) == kind]
    shards = len(list(out.glob("shards/*")))
    if victims and process.poll() is None:
        os.kill(chance.choice(victims), signal.SIGKILL)
    else:
        kind = "nobody: there was no such process any more"
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
        "engine": engine,
        "killed": kind,
        "shards_done": shards,
        "commands": commands,
        "lost": PROMPTS - len(set(indices)),
        "doubled": len(indices) - len(set(indices)),
        "same_bytes": got == expected,
        "processes_left": surviving(started),
        "folders_left": sorted(left_in_tmp() - before),
    }


def left_in_tmp() -> set[str]:
    """Folders of the engines in /tmp."""
    return {str(path) for pattern in ("sea-ray-*", "sea-plugin-*") for path in Path("/tmp").glob(pattern)}


def surviving(started: list[int]) -> list[str]:
    """What is left of some processes, which have half a minute to end."""
    left: list[str] = []
    for _ in range(30):
        left = [name_of(process, 0) for process in started if is_alive(process)]
        if not left:
            break
        time.sleep(1.0)
    return left


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
    """What a process of a round is."""
    if process == driver:
        return "the command"
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return "ended"
    if line.partition(" ")[0].endswith("/raylet"):
        return "the raylet"
    if "sea_toolkit.work.process" in line or "ray::_Worker" in line:
        return "a worker"
    return line.partition(" ")[0] or "ended"


if __name__ == "__main__":
    main()

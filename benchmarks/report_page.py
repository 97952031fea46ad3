"""How large the page of a large run is, how long it takes to make, and how long to open.

    python benchmarks/report_page.py [--prompts 50] [--chains 4] [--steps 40] [--tokens 48]

The run is of the tiny policy in the box, with as many tokens as a real one would have; they are shorter, and each text
has more markup for its length. Prints one JSON object: bytes of the folder and of the page, how many prompts the page
has in full, seconds by the clock and of the CPU to make it (imports included, the median and mean of three), seconds
that Chromium takes to start, and to open the page and print what it holds, where there is one, and its complaints.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sea_toolkit.api import align
from sea_toolkit.testing.tiny import tiny_policy, tiny_reward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("prompts", 50), ("chains", 4), ("steps", 40), ("tokens", 48)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, page = Path(scratch, "run"), Path(scratch, "page.html")
        align(
            [f"the rain falls on town {i}" for i in range(given.prompts)], energies={"reward": (3.0, tiny_reward())},
            sampler="tilted", steps=given.steps, chains=given.chains, max_new_tokens=given.tokens, explain=True,
            policy=tiny_policy(), out=folder,
        )  # fmt: skip
        command = [sys.executable, "-m", "sea_toolkit", "report", str(folder), "-o", str(page)]
        before = os.times()
        seconds = [timed(command)[0] for _ in range(3)]
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        print(json.dumps({
            **vars(given),
            "folder_bytes": sum(file.stat().st_size for file in folder.iterdir()),
            "page_bytes": page.stat().st_size,
            "prompts_in_full": page.read_text(encoding="utf-8").count('<details class="prompt"'),
            "seconds": round(statistics.median(seconds), 2),
            "cpu_seconds": round(spent / 3, 2),
            **opened(page),
        }))  # fmt: skip


def opened(page: Path) -> dict[str, object]:
    chromium = shutil.which("chromium")
    if chromium is None:
        return {}
    command = [
        chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    empty, _ = timed([*command, "about:blank"])
    seconds, said = timed([*command, page.as_uri()])
    console = [line for line in said.splitlines() if "CONSOLE" in line]
    return {"chromium_empty": round(empty, 2), "chromium_page": round(seconds, 2), "console": console}


def timed(command: list[str]) -> tuple[float, str]:
    begun = time.perf_counter()
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, found.stderr


if __name__ == "__main__":
    main()

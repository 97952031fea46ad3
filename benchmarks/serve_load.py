"""A server under load: 200 requests from 16 clients, a fifth of whom leave and a tenth of whom send no request.

    python benchmarks/serve_load.py [--requests 200] [--clients 16] [--dtype float32]

A tiny random model, so that what is measured is the server: its answers against those of a direct call, its memory,
and its latency beside that of `Aligner.align` called from as many threads at the same time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

import sea_toolkit as sea
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

RECIPE = """max_new_tokens = 16

[sampler]
name   = "best-of-n"
budget = 8

[[energies]]
name = "reference"

[[energies]]
name   = "length"
target = 6
"""
WORDS = ("rain", "town", "sea", "wind", "morning", "street", "garden", "train", "river", "song")
PROMPTS = [f"the {a} and the {b}" for a in WORDS for b in WORDS if a != b]
BROKEN = (b"{", b"[]", b'{"model": "policy"}', b'{"model": "policy", "messages": [], "sea": {"path": "/etc/passwd"}}')
PATH = "/v1/chat/completions"


class Load:
    """The clients of one server.

    Args:
        url: of the server.
        expected: prompt → the answer of a direct call.
    """

    def __init__(self, url: str, expected: dict[str, str]) -> None:
        self.url, self.expected = url, expected
        self.outcomes, self.seconds, self.lock = Counter[str](), list[float](), threading.Lock()
        self.answers: list[tuple[str, str, bool, float]] = []
        self.client = httpx2.Client(base_url=url, timeout=120)

    def ask(self, number: int) -> None:
        """One request; what it is follows from its number."""
        outcome = {0: self._broken, 5: self._leaving, 9: self._leaving}.get(number % 10, self._plain)(number)
        with self.lock:
            self.outcomes[outcome] += 1

    def _plain(self, number: int) -> str:
        prompt, isolated = PROMPTS[number % len(PROMPTS)], number % 4 == 2
        began = time.perf_counter()
        response = self.client.post(PATH, json=asked(prompt) | {"sea": {"isolated": isolated}})
        with self.lock:
            self.seconds.append(time.perf_counter() - began)
        if response.status_code != 200:
            return f"wrong: {response.status_code}"
        choice = response.json()["choices"][0]
        text, ended = choice["message"]["content"], choice["finish_reason"] == "stop"
        with self.lock:
            self.answers.append((prompt, text, ended, choice["sea"]["terms"]["length"]))
        if isolated:
            return "alone: as a direct call" if text == self.expected[prompt] else "wrong: not as a direct call"
        return "in company: as a direct call" if text == self.expected[prompt] else "in company: another text"

    def _broken(self, number: int) -> str:
        body = BROKEN[number // 10 % len(BROKEN)]
        response = self.client.post(PATH, content=body, headers={"content-type": "application/json"})
        return (
            "refused with 400" if response.status_code == 400 and "error" in response.json() else "wrong: not refused"
        )

    def _leaving(self, number: int) -> str:
        host, _, port = self.url.removeprefix("http://").partition(":")
        body = json.dumps(asked(PROMPTS[number % len(PROMPTS)]) | {"stream": number % 10 == 5}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.create_connection((host, int(port))) as line:
            line.sendall(f"{head}\r\n\r\n".encode() + body)
            time.sleep(random.Random(number).uniform(0.0, 0.15))
        return "left"


def asked(prompt: str) -> dict[str, Any]:
    return {"model": "policy", "messages": [{"role": "user", "content": prompt}]}


def at_once(clients: int, numbers: Sequence[int], ask: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, numbers))


def memory(process: int) -> float:
    """Resident memory in MiB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def direct(aligner: sea.Aligner, clients: int, numbers: Sequence[int]) -> list[float]:
    """Seconds of calls of one aligner from as many threads as there are clients."""
    seconds, lock = list[float](), threading.Lock()

    def call(number: int) -> None:
        began = time.perf_counter()
        aligner.align(PROMPTS[number % len(PROMPTS)])
        with lock:
            seconds.append(time.perf_counter() - began)

    at_once(clients, numbers, call)
    return seconds


def served(folder: Path, dtype: str) -> tuple[subprocess.Popen[str], str]:
    """The server in a process of its own, and its address, once it is ready."""
    command = [sys.executable, "-m", "sea_toolkit", "serve", "--port", "0", "--recipe", str(folder / "brief.toml")]
    process = subprocess.Popen(
        [*command, "--model", str(folder / "policy"), "--device", "cpu", "--dtype", dtype],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    url = next(line for line in process.stderr if line.startswith("http")).partition("/v1")[0]
    threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
    for _ in range(600):
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/health").status_code == 200:
                return process, url
        time.sleep(0.1)
    raise SystemExit("the server did not begin")


def furthest(answers: Sequence[tuple[str, str, bool, float]], scorer: sea.Scorer) -> float:
    """How far the term `length` of an answer is from what `sea.score` says of its text, at most."""
    prompts, texts, ended, terms = (list(column) for column in zip(*answers, strict=True))
    scores = scorer.score(prompts, texts, finished=ended)
    return max(abs(score.terms["length"] - term) for score, term in zip(scores, terms, strict=True))


def counted(url: str, name: str) -> float:
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    chosen = parser.parse_args()
    numbers, few = range(chosen.requests), range(1, 5)
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_model("llama").save_pretrained(folder / "policy")
        tiny_tokenizer().save_pretrained(folder / "policy")
        (folder / "brief.toml").write_text(RECIPE, encoding="utf-8")
        aligner = sea.Aligner(folder / "brief.toml", model=str(folder / "policy"), device="cpu", dtype=chosen.dtype)
        expected = {prompt: aligner.align(prompt).response for prompt in PROMPTS}
        process, url = served(folder, chosen.dtype)
        load = Load(url, expected)
        for number in few:
            load.ask(number)  # warm
        load.outcomes.clear()
        load.seconds.clear()
        alone = direct(aligner, 1, few), [None for number in few if load.ask(number)], list(load.seconds)
        load.outcomes.clear()
        load.seconds.clear()
        load.answers.clear()
        resident = [memory(process.pid)]
        quarter = -(-len(numbers) // 4)
        for first in range(0, len(numbers), quarter):
            at_once(chosen.clients, numbers[first : first + quarter], load.ask)
            resident.append(memory(process.pid))
        together = direct(aligner, chosen.clients, [n for n in numbers if n % 10 not in (0, 5, 9)])
        for outcome, count in sorted(load.outcomes.items()):
            print(f"{count:4d} {outcome}")
        print(f"requests that were cancelled: {counted(url, 'sea_cancelled_total'):.0f}")
        scorer = sea.Scorer(recipe=folder / "brief.toml", model=str(folder / "policy"), device="cpu")
        print(f"the term length differs from that of sea.score by at most {furthest(load.answers, scorer):.1e}")
        print(f"p50, one client: {median(alone[2]):.3f} s; a direct call: {median(alone[0]):.3f} s")
        print(
            f"p50, {chosen.clients} clients: {median(load.seconds):.3f} s; calls in threads: {median(together):.3f} s"
        )
        print("resident MiB at the start and after each quarter:", ", ".join(f"{mib:.0f}" for mib in resident))
        process.send_signal(signal.SIGTERM)
        print(f"exit code after SIGTERM: {process.wait(60)}")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""The engine `local`: processes on this machine, each of which takes whatever piece of work is free."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.work.job import Job, Tell
from sea_toolkit.work.worker import error_of, told

STARTS = 3
"""How often in a row a worker may die before it has read its models."""
GRACE = 60.0
"""Seconds in which a worker that is to end may save what it has."""


def local(job: Job, tell: Tell) -> None:
    """Do the work in processes of this machine. One that dies is replaced, and its piece is taken up by another.

    What the processes print goes to `logs/` in the folder.

    Raises:
        RecipeError: there are fewer GPUs than the workers are to have.
        SeaError: a worker's, that concerns all pieces; or one dies again and again before it begins.
    """
    crew = _Crew(job, _devices(job))
    try:
        crew.work(tell)
    finally:
        crew.end()


class _Crew:
    """The workers of a job, each watched by a thread."""

    def __init__(self, job: Job, devices: list[str | None]) -> None:
        self.job, self.devices = job, devices
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.over = threading.Event()
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.threads = [
            threading.Thread(target=self._watch, args=(number,), daemon=True) for number in range(job.workers)
        ]

    def work(self, tell: Tell) -> None:
        """Until every piece is settled.

        Raises:
            SeaError: a worker's, for the whole job.
        """
        for thread in self.threads:
            thread.start()
        watching = len(self.threads)
        while watching:
            try:
                message = self.heard.get(timeout=1.0)
            except queue.Empty:  # Windows hears of Ctrl-C between two waits only
                continue
            if "settled" in message:
                tell(message["settled"])
            elif "left" in message:
                watching -= 1
            elif "got" in message:
                raise error_of(message)

    def end(self) -> None:
        """Have all workers save what they have and end."""
        self.over.set()
        started = list(self.processes.values())
        for process in started:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process in started:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

    def _watch(self, number: int) -> None:
        """Keep one worker at work as long as there is any."""
        try:
            starts = 0
            while not self.over.is_set() and self.job.left():
                ready, said, code = self._one(number)
                if code == 0 or self.over.is_set():
                    break  # others have what is left; whoever of them dies is started again
                starts = 0 if ready else starts + 1
                if said is None and starts >= STARTS:
                    said = _never_ready(self._log(number), code)
                if said is not None:
                    self.heard.put(said)
                    break
        except Exception as error:  # a thread must not end in silence
            self.heard.put(told(SeaError(f"worker {number} cannot be started: {error}")))
        finally:
            self.heard.put({"left": number})

    def _one(self, number: int) -> tuple[bool, dict[str, Any] | None, int]:
        """One process to its end: whether it had read its models, the error that it told, and its exit code."""
        ready, said = False, None
        log = self._log(number)
        log.parent.mkdir(exist_ok=True)
        with open(log, "ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "sea_toolkit.work.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={**os.environ, **self.job.environment, **_visible(self.devices[number])},
                start_new_session=True,  # Ctrl-C is for us, and we tell them
            )
        self.processes[number] = process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):  # it died before it could read, or is to end already
            process.stdin.write(self.job.to_json() + "\n")
            process.stdin.flush()
        for line in process.stdout:
            message = json.loads(line)
            ready = ready or "ready" in message
            if "settled" in message:
                self.heard.put(message)
            elif "got" in message:
                said = message
        return ready, said, process.wait()

    def _log(self, number: int) -> Path:
        return self.job.folder / "logs" / f"worker-{number}.txt"


def _never_ready(log: Path, code: int) -> dict[str, Any]:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {text[-1]}" if text else ""
    got = f"a worker has ended {STARTS} times before it began, the last time with {code}{last}"
    return told(SeaError(got, expected="processes that can load the models", hint=f"see {log}"))


def _visible(devices: str | None) -> dict[str, str]:
    return {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}


def _devices(job: Job) -> list[str | None]:
    """The GPUs of each worker, as `CUDA_VISIBLE_DEVICES` names them; None: all that there are.

    Raises:
        RecipeError: there are fewer than the workers are to have.
    """
    if job.gpus == 0:
        return [None] * job.workers
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    known = named or [str(number) for number in range(torch.cuda.device_count())]
    if job.gpus >= 1 and job.gpus != int(job.gpus):
        raise RecipeError(f"--gpus-per-worker {job.gpus:g}", expected="a whole number, or a part of one GPU")
    each, together = (int(job.gpus), 1) if job.gpus >= 1 else (1, int(1 / job.gpus))
    groups = [known[i : i + each] for i in range(0, len(known) - each + 1, each)]
    if job.workers > len(groups) * together:
        raise RecipeError(
            f"{job.workers} workers with {job.gpus:g} GPUs each, and this machine has {len(known)}",
            expected=f"at most {len(groups) * together} such workers",
        )
    return [",".join(groups[number // together]) for number in range(job.workers)]

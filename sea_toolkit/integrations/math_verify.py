"""Verifiers of answers in mathematics, by the package math-verify: rewards of 1 and 0 for the energy `verifier`.

```toml
[[energies]]
name = "verifier"
function = "sea_toolkit.integrations.math_verify:gsm8k"
weight = 8.0
```

What a model writes may take for ever to work out (9^9^9^9), in one step that nothing interrupts. So a process of its
own reads and compares, and is ended when an answer takes too long. This also serves callers in threads, where
math-verify's own limit of time, a signal, cannot be set.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Sequence

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.version import install_hint

SECONDS = 5.0
"""For one comparison; what takes longer counts as wrong."""

_STARTING = 60.0
"""Seconds until the process has to be there."""

_WORKER = """
import json, logging, sys
logging.disable(logging.CRITICAL)
out, sys.stdout = sys.stdout, sys.stderr
from math_verify import parse, verify
print(json.dumps("ready"), file=out, flush=True)
for line in sys.stdin:
    gold, text = json.loads(line)
    found = None
    try:
        known = parse(gold, parsing_timeout=None)
        if known:
            answer = parse(text, parsing_timeout=None)
            found = bool(verify(known, answer, timeout_seconds=None))
    except Exception:
        found = False
    print(json.dumps(found), file=out, flush=True)
"""


def gsm8k(completions: Sequence[str], answer: Sequence[str]) -> list[float]:
    """Whether each answer's number is that of the column `answer`: all of it, or what stands behind `####`.

    Args:
        completions: N answers.
        answer: for each the solution, as GSM8K has it.

    Raises:
        RecipeError: math-verify is not installed, or a solution cannot be read.
    """
    golds = [str(gold).rpartition("####")[2].strip() for gold in answer]
    return [float(_is_equal(gold, text)) for text, gold in zip(completions, golds, strict=True)]


def math(completions: Sequence[str], solution: Sequence[str]) -> list[float]:
    r"""Whether each answer is equal to the column `solution`: the expression in its last `\boxed{}`, or all of it.

    Args:
        completions: N answers, whose last expression counts; one in `\boxed{}` comes first.
        solution: for each the solution, as MATH has it.

    Raises:
        RecipeError: math-verify is not installed, or a solution cannot be read.
    """
    return [float(_is_equal(str(gold), text)) for text, gold in zip(completions, solution, strict=True)]


@functools.lru_cache(maxsize=4096)
def _is_equal(gold: str, text: str) -> bool:
    written = gold if "\\" in gold or "$" in gold else f"${gold}$"
    found = _PROCESS.ask(written, text)
    if found is None:
        raise RecipeError(f"the solution {gold[:80]!r} cannot be read", expected="a number or an expression")
    return found


class _Process:
    """The process that compares, one question at a time; made when it is first asked, and again after it was ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: subprocess.Popen[str] | None = None

    def ask(self, gold: str, text: str) -> bool | None:
        """Whether the two are equal; None for a solution without an expression.

        Raises:
            RecipeError: math-verify is not installed.
        """
        with self._lock:
            process = self._running()
            process.stdin.write(json.dumps([gold, text]) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            line = _read(process, SECONDS)
            if not line:
                self.end()
                return False
            answer: bool | None = json.loads(line)
            return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._made is not None and self._made.poll() is None:
            return self._made
        if importlib.util.find_spec("math_verify") is None:
            raise RecipeError(
                "the verifiers of mathematics need math-verify, which is not installed",
                expected="the package",
                hint=install_hint("math"),
            )
        self._made = subprocess.Popen(
            [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        if not _read(self._made, _STARTING):
            self.end()
            raise RecipeError("math-verify cannot be imported", hint="python -c 'import math_verify' says why")
        return self._made

    def end(self) -> None:
        """End the process, if there is one."""
        if self._made is not None:
            self._made.kill()
            self._made.communicate()
            self._made = None


def _read(process: subprocess.Popen[str], seconds: float) -> str:
    """The next line of a process; it is ended where none comes in time, and the line is then empty."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        return process.stdout.readline()  # type: ignore[union-attr]
    finally:
        timer.cancel()


_PROCESS = _Process()
atexit.register(_PROCESS.end)

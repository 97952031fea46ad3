"""The command line in a process of its own, with real descriptors, terminals and encodings: a fork, so it is warm."""

from __future__ import annotations

import atexit
import os
import struct
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ended:
    """What a command wrote, and its exit code."""

    code: int
    stdout: bytes
    stderr: bytes


def sea_toolkit(
    arguments: Sequence[str],
    *,
    encoding: str = "utf-8",
    environment: Mapping[str, str] | None = None,
    terminal: int | None = None,
    closed: Sequence[int] = (),
) -> Ended:
    """Run `sea-toolkit ARGUMENTS` until the process ends, exit functions included.

    Args:
        arguments: the words after the program's name.
        encoding: of standard output.
        environment: variables to set.
        terminal: columns of a terminal that all three streams are; its text is `stdout`. None: pipes.
        closed: descriptors that are closed at the start, as by `>&-`.
    """
    if sys.platform == "win32":
        pytest.skip("a process is not forked here")
    ends = [_terminal(terminal)] if terminal else [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.environ.update({"TERM": "xterm", "NO_COLOR": "1", **(environment or {})})
            inputs = ends[0][1] if terminal else os.open(os.devnull, os.O_RDONLY)
            outputs = [ends[0][1]] * 2 if terminal else [ends[0][1], ends[1][1]]
            for descriptor, source in enumerate([inputs, *outputs]):
                os.dup2(source, descriptor)
            os.closerange(3, 64)
            for name, descriptor in (("stdout", 1), ("stderr", 2)):
                stream = None if descriptor in closed else open(descriptor, "w", encoding=encoding)  # noqa: SIM115
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
            for descriptor in closed:
                os.close(descriptor)
            code = _run(arguments)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return _collect(child, ends, terminal is not None)


def _terminal(columns: int) -> tuple[int, int]:
    """Both sides of a terminal of 24 lines."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def _run(arguments: Sequence[str]) -> int:
    from sea_toolkit.cli import main

    code = 0
    try:
        main(list(arguments), prog_name="sea-toolkit")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        if stream is not None:
            stream.flush()
    return code


def _collect(child: int, ends: Sequence[tuple[int, int]], terminal: bool) -> Ended:
    for _, write in ends:
        os.close(write)
    texts: list[bytes] = [b""] * len(ends)

    def read(i: int) -> None:
        try:
            while block := os.read(ends[i][0], 1 << 16):
                texts[i] += block
        except OSError:  # how a terminal says that its other side is closed
            assert terminal
        os.close(ends[i][0])

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(ends))]
    for reader in readers:
        reader.start()
    _, status = os.waitpid(child, 0)
    for reader in readers:
        reader.join()
    return Ended(os.waitstatus_to_exitcode(status), texts[0], b"" if terminal else texts[1])


CHATTY = '''
"""A plugin that prints on every occasion, on every way to standard output."""

import atexit, ctypes, os, subprocess, sys, threading, time
from sys import stdout
import sea_toolkit as sea

def chat(occasion):
    print("chat: print", occasion)
    stdout.write("chat: stdout " + occasion + chr(10))
    sys.__stdout__ and sys.__stdout__.write("chat: __stdout__ " + occasion + chr(10))
    os.write(1, b"chat: descriptor " + occasion.encode() + bytes([10]))
    subprocess.run(["echo", "chat: subprocess", occasion])
    ctypes.CDLL(None).puts(b"chat: library " + occasion.encode())

def late():
    time.sleep(0.2)
    chat("thread")

chat("import")
atexit.register(chat, "atexit")
threading.Thread(target=late).start()

class Chatty(sea.Energy):
    """Says what it does."""

    def __init__(self):
        chat("constructor")

    def bind(self, context):
        chat("bind")
        return sea.BoundEnergy(score_text=self.score)

    def score(self, prompts, texts):
        chat("call")
        return [float(len(text)) for text in texts]

def loud(progress, step):
    """A schedule that speaks."""
    chat("schedule")
    return 1.0

@sea.hookimpl
def sea_register_energies(register):
    chat("hook")
    register("chatty", Chatty)

@sea.hookimpl
def sea_register_schedules(register):
    register("loud", loud)

@sea.hookimpl
def sea_observe(event):
    chat("observer")
'''


def write_chatty(folder: Path) -> Path:
    """The chatty plugin as a file."""
    file = folder / "chatty.py"
    file.write_text(CHATTY)
    return file

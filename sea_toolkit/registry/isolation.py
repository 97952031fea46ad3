"""What an import of a plugin must leave as it was: torch's defaults, the working folder, the handler of Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.blame import cause_of
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.util.process_wide import ONE_AT_A_TIME


class _Setting(NamedTuple):
    """One setting of a process: how it is read and put back, and what it is where nobody has set it."""

    read: Callable[[ModuleType], Any]
    write: Callable[[ModuleType, Any], Any]
    initial: Callable[[ModuleType], Any]


def default_device(torch: ModuleType) -> Any:
    """The device of tensors that name none. torch 2.6 fails to say so once somebody has set it to None."""
    try:
        return torch.get_default_device()
    except AttributeError:
        return torch.device("cpu")


def set_default_device(torch: ModuleType, device: Any) -> None:
    """Set it; where torch can say afterwards that it is the CPU, without a mode that every call goes through."""
    torch.set_default_device(None if device.type == "cpu" else device)
    try:
        torch.get_default_device()  # as transformers does
    except AttributeError:
        torch.set_default_device("cpu")


_TORCH = {
    "default dtype": _Setting(
        lambda torch: torch.get_default_dtype(),
        lambda torch, dtype: torch.set_default_dtype(dtype),
        lambda torch: torch.float32,
    ),
    "default device": _Setting(default_device, set_default_device, lambda torch: torch.device("cpu")),
    "grad mode": _Setting(
        lambda torch: torch.is_grad_enabled(), lambda torch, on: torch.set_grad_enabled(on), lambda torch: True
    ),
    "deterministic mode": _Setting(
        lambda torch: torch.are_deterministic_algorithms_enabled(),
        lambda torch, on: torch.use_deterministic_algorithms(on),
        lambda torch: False,
    ),
    "matmul precision": _Setting(
        lambda torch: torch.get_float32_matmul_precision(),
        lambda torch, precision: torch.set_float32_matmul_precision(precision),
        lambda torch: "highest",
    ),
    "anomaly mode": _Setting(
        lambda torch: torch.is_anomaly_enabled(),
        lambda torch, on: torch.autograd.set_detect_anomaly(on),
        lambda torch: False,
    ),
    "number of threads": _Setting(
        lambda torch: torch.get_num_threads(), lambda torch, count: torch.set_num_threads(count), lambda torch: None
    ),
}
"""Torch's settings that decide over the numbers of a run. None: not known before torch is there."""


class Isolated:
    """Run a plugin's import, hooks or lazily imported target; what it changed for everybody is put back and noted.

    One at a time, in all threads together: a change that another thread makes is nobody's fault here.

    A `KeyboardInterrupt` without a Ctrl-C, and a `GeneratorExit`, are failures of the plugin. A Ctrl-C that its code
    swallowed is raised again.

    Args:
        record: gets a warning for each change.

    Raises:
        PluginError: the code raised one of the two.
    """

    def __init__(self, record: PluginRecord) -> None:
        self._record = record
        self._pressed = False
        self._handler: Any = None

    def __enter__(self) -> None:
        ONE_AT_A_TIME.acquire()
        torch = sys.modules.get("torch")
        self._torch = {name: setting.read(torch) for name, setting in _TORCH.items()} if torch else None
        self._folder = _working_folder()
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and threading.current_thread() is threading.main_thread():
            self._handler = handler
            self._listener = self._press  # one object: a bound method is made anew each time
            signal.signal(signal.SIGINT, self._listener)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._restore_torch()
            self._restore_folder()
            self._restore_handler()
        finally:
            ONE_AT_A_TIME.release()
        if self._pressed:
            if not isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt from error
        elif isinstance(error, KeyboardInterrupt | GeneratorExit):
            raise PluginError(cause_of(error), expected="no such exception from a plugin") from error

    def _press(self, number: int, frame: FrameType | None) -> Any:
        try:
            return self._handler(number, frame)
        except KeyboardInterrupt:  # not every handler raises it
            self._pressed = True
            raise

    def _restore_torch(self) -> None:
        torch = sys.modules.get("torch")
        if torch is None:
            return
        for name, setting in _TORCH.items():
            with contextlib.suppress(AttributeError):  # torch's own import was cut short
                before = setting.initial(torch) if self._torch is None else self._torch[name]
                now = setting.read(torch)
                if before is not None and now != before:
                    setting.write(torch, before)
                    self._note(f"torch's {name} to {now}")

    def _restore_folder(self) -> None:
        now = _working_folder()
        if self._folder is not None and now != self._folder:
            with contextlib.suppress(OSError):
                os.chdir(self._folder)
                self._note(f"the working folder to {now}")

    def _restore_handler(self) -> None:
        if self._handler is not None:
            replaced = signal.getsignal(signal.SIGINT) != self._listener
            signal.signal(signal.SIGINT, self._handler)
            if replaced:
                self._note("what Ctrl-C does")

    def _note(self, change: str) -> None:
        text = f"its code changed {change} for the whole process, which was put back"
        self._record.warn(text)
        if text not in self._record.changes:
            self._record.changes.append(text)


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None

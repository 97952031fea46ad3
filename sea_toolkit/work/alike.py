"""Workers of one job have to be alike: threads, versions and plugins of whoever cut it, models of the first one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sea_toolkit.errors import SeaError
from sea_toolkit.util import run_files
from sea_toolkit.util.differences import differences
from sea_toolkit.util.locks import hold

IDENTITY = "identity.json"
"""In the folder of the work: weights, versions and device of whoever loaded its models first."""


class OtherWorkerError(SeaError):
    """This process is not one that the work can be done with: other versions, models or another device."""


def become_alike(threads: int, theirs: dict[str, Any], mine: dict[str, Any], *, work: str, made: str) -> None:
    """Take the threads of the work, and refuse versions and plugins that are not those of whoever cut it.

    Args:
        threads: of torch on the CPU.
        theirs: versions of whoever cut the work.
        mine: this worker's.
        work: what it is to do, such as "carry out the plan of FOLDER".
        made: how the work came about, such as "the plan was made".

    Raises:
        OtherWorkerError: with what differs.
    """
    if torch.get_num_threads() != threads:  # each call makes a pool that a forked process cannot use
        torch.set_num_threads(threads)
    if changed := differences(theirs, mine):
        raise OtherWorkerError(
            f"this worker cannot {work}:\n  " + "\n  ".join(changed),
            expected=f"the versions and plugins of the process in which {made}",
            hint=f"install those here; sea-toolkit list-plugins --requirements prints them where {made}",
        )


def require_alike(folder: Path, begun: Path, mine: dict[str, Any], first: dict[str, Any] | None = None) -> None:
    """Refuse models, versions or another kind of device than those of the first worker; the first one decides.

    Args:
        folder: of the work.
        begun: the folder that a person knows it by.
        mine: this worker's.
        first: what has been decided already, if anything has.

    Raises:
        OtherWorkerError: with what differs.
        SeaError: the folder cannot be written, or its file is damaged.
    """
    path = folder / IDENTITY
    if not path.exists():
        with hold(folder / "identity", f"the folder {folder}", waiting=lambda: None):
            if not path.exists():
                run_files.write_sealed(path, first or mine)
    if changed := differences(run_files.read_sealed(path), mine):
        raise OtherWorkerError(
            f"this worker is not like those that began {begun}:\n  " + "\n  ".join(changed),
            expected="the same plugins, models, packages and kind of device",
            hint="the same environment on every machine, or another --out",
        )

"""What this package is called where packages are installed from, and its version."""

from __future__ import annotations

DISTRIBUTION = "sea-alignment"
"""The name for pip. `sea-toolkit` on the package index is somebody else's program, so no line may install that."""

VERSION = "0.1.0"


def install_hint(extra: str) -> str:
    """The command that installs an optional dependency, such as "plots"."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"

"""The command line: one file per command, each imported when it is asked for."""

from __future__ import annotations

import sys

try:
    from sea_toolkit.cli.group import main
except KeyboardInterrupt:  # Ctrl-C in the first tenth of a second, before anything could be set up for it
    sys.stderr.write("interrupted\n")
    raise SystemExit(130) from None

__all__ = ["main"]

"""The command line: one file per command, each imported when it is asked for."""

from __future__ import annotations

from sea_toolkit.cli.group import main

__all__ = ["main"]

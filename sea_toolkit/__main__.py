"""`python -m sea_toolkit`, the same as `sea-toolkit`."""

from __future__ import annotations

from sea_toolkit.cli import main

main(prog_name="sea-toolkit")

"""Files that a command is to write, refused before anything is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from sea_toolkit.errors import ModelError, RecipeError


def refuse_target(out: Path, *beside: Path, force: bool) -> None:
    """Refuse a safetensors file that cannot be written, or that would replace another one.

    Args:
        out: the file.
        beside: others that are written with it.
        force: replace what is there.

    Raises:
        RecipeError: another ending, or a file that is there.
        ModelError: its folder is not there.
    """
    if out.suffix != ".safetensors":
        raise RecipeError(f"--out {out}", expected="a name ending in .safetensors")
    if not out.parent.is_dir():
        raise ModelError(f"the folder {out.parent} does not exist", hint="create it, or choose another --out")
    for path in () if force else (out, *beside):
        if os.path.lexists(path):
            raise RecipeError(f"{path} exists already; nothing was changed", hint="another --out, or --force")

"""What this package is called where packages are installed from, and its version."""

from __future__ import annotations

from typing import Any

from sea_toolkit.errors import RecipeError

DISTRIBUTION = "sea-alignment"
"""The name for pip. `sea-toolkit` on the package index is somebody else's program, so no line may install that."""

VERSION = "0.1.0"


def install_hint(extra: str) -> str:
    """The command that installs an optional dependency, such as "plots"."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def refuse_newer(required: Any, where: str) -> None:
    """Refuse a recipe of a newer version: what its keys mean is not known here.

    Args:
        required: the oldest version that reads it, such as "0.2"; None for any.
        where: names the recipe in errors.

    Raises:
        RecipeError: it is newer than this version, or no version.
    """
    if required is None:
        return
    from packaging.version import InvalidVersion, Version

    try:
        newer = Version(required) > Version(VERSION)
    except (InvalidVersion, TypeError):
        raise RecipeError(f"{where}: requires is {required!r}", expected=f'a version, such as "{VERSION}"') from None
    if newer:
        raise RecipeError(
            f"{where} requires {DISTRIBUTION} {required}, and this is {VERSION}",
            expected=f"a recipe for {VERSION} or older",
            hint=f"pip install '{DISTRIBUTION}>={required}'",
        )

"""Where things of a user are kept, and paths as users write them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sea_toolkit.errors import RecipeError, shortened

_LONGEST = 255
"""Bytes of a name; more than that no usual file system takes."""


def user_path(text: str | os.PathLike[str], what: str) -> Path:
    """A path that a user wrote, with `~` and `~user` replaced. What it leads to may be missing.

    Args:
        text: as it was written.
        what: names it in errors: an option, a variable, an argument.

    Raises:
        RecipeError: it is empty, has no such user, or a name in it that no file system takes.
    """
    written, is_long = os.fspath(text), False
    if not written:
        raise RecipeError(f"{what} is empty", expected="a path", hint="a variable of the shell may not be set")
    try:
        path = Path(written).expanduser()
        is_long = any(len(os.fsencode(part)) > _LONGEST for part in path.parts)
        path.stat()
    except RuntimeError as error:  # what pathlib raises for a user or a home that does not exist
        raise RecipeError(
            f"{what} is {shortened(written)!r}, and there is no such home folder", expected="a path without ~"
        ) from error
    except ValueError as error:
        raise RecipeError(f"{what} is {shortened(written)!r}: {error}", expected="a path") from error
    except OSError as error:
        is_long = is_long or error.errno == errno.ENAMETOOLONG
    if is_long:
        raise RecipeError(f"{what} is too long a name: {shortened(written)!r}", expected="a path")
    return path


def cache_folder() -> Path:
    """The root of everything cached: `$SEA_CACHE`, or the user's cache folder. May not exist yet.

    Raises:
        RecipeError: the variable holds no path, or it is not set and the user has no home folder.
    """
    chosen = os.environ.get("SEA_CACHE")
    if chosen:
        return user_path(chosen, "SEA_CACHE")
    import platformdirs

    try:
        folder = platformdirs.user_cache_dir("sea-toolkit")
    except RuntimeError:
        folder = "~"
    if folder.startswith("~"):  # what older versions leave of ~ where there is no home
        raise RecipeError(
            "there is no home folder for the cache",
            expected="a user with a home folder",
            hint="set the environment variable SEA_CACHE to a folder",
        )
    return Path(folder)

"""pyarrow, which reads and writes parquet files; an extra."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.version import install_hint


def pyarrow_for(path: Path) -> ModuleType:
    """The package, with its module `parquet`.

    Args:
        path: of the file that needs it.

    Raises:
        RecipeError: it is not installed, or cannot be imported.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise RecipeError(
            f"{path} needs pyarrow, which cannot be imported: {error}", hint=install_hint("data")
        ) from error
    module: ModuleType = pyarrow
    return module

"""A recipe's TOML file with other numbers in it: comments, order and layout stay as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.exceptions
from tomlkit.items import Table

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.calibration_table import CalibrationTable
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.text_files import read_text

KEY = "calibration"
COMMENT = 'Written by sea-toolkit calibrate: the numbers of scale = "base-std" and of want.'


def refuse_unwritable(path: Path) -> None:
    """Raises: RecipeError if a recipe's file is no TOML that can be written again, or the place is none for a file."""
    if path.suffix != ".toml" or path.is_dir():
        raise RecipeError(f"{path} cannot be written", expected="a recipe as a .toml file", hint="--out FILE.toml")


def write_calibration(source: Path, table: CalibrationTable, out: Path) -> None:
    """Write a recipe with its table `[calibration]`, in the place of one that it had.

    Args:
        source: the recipe.
        table: what was found.
        out: the file that is written, which may be the source.

    Raises:
        RecipeError: the source is no TOML, or the file cannot be written.
    """
    text = with_calibration(read_text(source), table, str(source))
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise RecipeError(f"cannot write {out}: {error.strerror or error}", hint="another --out") from error


def with_calibration(text: str, table: CalibrationTable, where: str) -> str:
    """The TOML of a recipe with this table at its end; all else is as it was.

    Raises:
        RecipeError: it is no TOML.
    """
    try:
        document = tomlkit.parse(text)
    except tomlkit.exceptions.TOMLKitError as error:
        raise RecipeError(f"{where} is not TOML: {error}", hint="see docs/recipes.md for an example") from error
    document.pop(KEY, None)
    rest = tomlkit.dumps(document)
    written = f"{rest.rstrip()}\n\n{tomlkit.dumps({KEY: _as_toml(table)})}".lstrip("\n")
    return written.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in text else written


def _as_toml(table: CalibrationTable) -> Table:
    data: dict[str, Any] = table.model_dump(exclude_none=True)
    terms, written = data.pop("terms"), tomlkit.table()
    written.add(tomlkit.comment(COMMENT))
    for key, value in data.items():
        written.add(key, value)
    inside = tomlkit.table(is_super_table=True)
    for label, numbers in terms.items():
        entry = tomlkit.table()
        for key, value in numbers.items():
            entry.add(key, value)
        inside.add(tomlkit.key(label), entry)
    written.add("terms", inside)
    return written

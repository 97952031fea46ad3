"""Text that UTF-8 can write, which is what every tokenizer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sea_toolkit.errors import RecipeError


def require_unicode(value: Any, where: str) -> None:
    """Check each text in plain data: a half of a surrogate pair is a character for Python and for no tokenizer.

    JSON brings such halves where a text was cut within an emoji, the command line where an argument is not UTF-8.

    Args:
        value: a text, or lists and tables with texts; other values pass.
        where: names it in errors.

    Raises:
        RecipeError: a text holds half of a surrogate pair.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecipeError(
                f"{where} holds {value[error.start]!r} at character {error.start + 1}, half of a surrogate pair",
                expected="text that UTF-8 can write",
                hint="remove that character: the text was cut within an emoji, or is in another encoding",
            ) from error
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            require_unicode(key, f"a key of {where}")
            require_unicode(entry, f"{key} of {where}")
    elif isinstance(value, Sequence):
        for i, entry in enumerate(value, 1):
            require_unicode(entry, f"entry {i} of {where}")

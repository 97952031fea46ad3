"""Text that UTF-8 can write, which is what every tokenizer reads."""

from __future__ import annotations

from sea_toolkit.errors import RecipeError


def require_unicode(text: str, where: str) -> None:
    """Check a text: a half of a surrogate pair is a character for Python and for no tokenizer.

    JSON brings such halves where a text was cut within an emoji, the command line where an argument is not UTF-8.

    Args:
        text: to be checked.
        where: names it in errors.

    Raises:
        RecipeError: the text holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(
            f"{where} holds {text[error.start]!r} at character {error.start + 1}, half of a surrogate pair",
            expected="text that UTF-8 can write",
            hint="remove that character: the text was cut within an emoji, or is in another encoding",
        ) from error

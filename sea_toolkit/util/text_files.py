"""Text that people write and save: UTF-8 with or without a byte order mark, lines that end in \\n or \\r\\n, gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sea_toolkit.errors import RecipeError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path) -> str:
    """The text of a file, unpacked if its name ends in .gz.

    Raises:
        RecipeError: it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.name.lower().endswith(".gz") else content
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError(
            f"{path} cannot be read: {reason}", expected="a file of text, or of gzip if its name ends in .gz"
        ) from error
    return decoded(content, str(path))


def decoded(content: bytes, where: str) -> str:
    """UTF-8 as text, without a byte order mark.

    Args:
        content: of a file or a stream.
        where: names it in errors.

    Raises:
        RecipeError: another encoding, or no text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{where} cannot be read: {error}",
            expected="UTF-8 text",
            hint="it is UTF-16: save it as UTF-8" if content.startswith(_UTF16) else "save it as UTF-8",
        ) from error
    if "\0" in text:
        raise RecipeError(f"{where} holds a zero byte: it is no text", expected="UTF-8 text")
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends.

    Other separators that Unicode knows (U+2028, U+0085, a form feed) are part of a line, and so is a lone \\r.
    """
    return [line.removesuffix("\r") for line in text.split("\n")]

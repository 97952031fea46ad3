"""Where the prompts of `align` come from: arguments, a file, messages or standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.broken_lines import BrokenLines
from sea_toolkit.util.conversation import Prompt, as_prompts
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.prompts import TABLES, is_table, prompts_of_lines, read_messages, read_prompts
from sea_toolkit.util.text_files import decoded

_FILES = (".txt", ".json", *TABLES)


def asked_prompts(
    texts: Sequence[str],
    file: str | None,
    column: str | None,
    messages: str | None,
    stdin: str = "-",
    broken: BrokenLines | None = None,
) -> list[Prompt]:
    """The prompts, checked; no model is loaded yet.

    Args:
        texts: arguments of the command.
        file: of --prompts; `stdin` means standard input, which is also read if nothing else is given.
        column: of a table.
        messages: of --messages: JSON, or a file.
        stdin: what stands for standard input in place of a file.
        broken: what becomes of rows of a file that hold no prompt; by default they are errors.

    Raises:
        RecipeError: several sources or none, something that cannot be read, or a text that is the name of a file.
    """
    named = {"prompts on the command line": texts, "--prompts": file, "--messages": messages}
    sources = [name for name, value in named.items() if value]
    if len(sources) > 1:
        raise RecipeError(" and ".join(sources), expected="one of them")
    table = "--prompts FILE, a .csv, .tsv, .jsonl or .parquet file"
    if column is not None and file in (None, stdin):
        raise RecipeError(f"--column {column} without a table", expected=table)
    if broken is not None and broken.skip and (file in (None, stdin) or not is_table(str(file))):
        raise RecipeError("--skip-bad without a table: every line of a text is a prompt", expected=table)
    if stdin in texts and len(texts) > 1:
        raise RecipeError(f"{stdin} (standard input) and other prompts", expected="one of them")
    if texts and stdin not in texts:
        _refuse_file_names(texts)
        return as_prompts(texts)
    if messages is not None:
        if messages.lstrip().startswith(("[", "{")):
            return read_messages(messages, "--messages")
        is_list = messages.lower().removesuffix(".gz").endswith(".json")
        return read_prompts(messages, None if is_list else "messages")
    if file is not None and file != stdin:
        return read_prompts(file, column, broken)
    return prompts_of_lines(_standard_input(asked_for=bool(texts or file)), "standard input")


def _standard_input(*, asked_for: bool) -> str:
    """All of standard input; at a terminal only if the user asked for it."""
    if sys.stdin is None or sys.stdin.closed or (sys.stdin.isatty() and not asked_for):
        raise RecipeError("there is no prompt", expected='sea-toolkit align "Write …" --reward sentiment=8')
    try:
        return decoded(sys.stdin.buffer.read(), "standard input")
    except OSError as error:
        raise RecipeError(
            f"standard input cannot be read: {error.strerror or error}", expected="lines of text"
        ) from error


def _refuse_file_names(texts: Sequence[str]) -> None:
    """Prompts in a file come with --prompts; its name is hardly a prompt."""
    if all(_is_file_name(text) for text in texts):
        raise RecipeError(
            f"the prompt {texts[0]!r} is the name of a file",
            expected="the text of a prompt",
            hint=f"--prompts {texts[0]} for the prompts in it; a prompt of just these words comes by standard input",
        )


def _is_file_name(text: str) -> bool:
    if len(text.split()) == 1 and text.lower().removesuffix(".gz").endswith(_FILES):
        return True
    try:
        return user_path(text, "the prompt").is_file()
    except (OSError, RecipeError):
        return False

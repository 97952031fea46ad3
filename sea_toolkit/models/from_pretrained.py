"""transformers' `from_pretrained` itself, quiet, and its failures as sentences that a person can act on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models import folder as folders
from sea_toolkit.models.remote_code import user_said
from sea_toolkit.models.weights_files import titled
from sea_toolkit.util.process_wide import ONE_AT_A_TIME


def from_pretrained(loader: Any, folder: Path, name: str, *, trust_remote_code: bool, **options: Any) -> Any:
    """What a class of transformers reads from a folder; from `state_dict`, where that is among the options.

    Raises:
        ModelError: it cannot be read.
    """
    source = None if options.get("state_dict") else str(folder)
    try:
        with ONE_AT_A_TIME, quiet_transformers(), user_said(trust_remote_code):  # it sets torch's default dtype
            return loader.from_pretrained(source, trust_remote_code=trust_remote_code, **options)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise explained(error, folder, name) from error


def explained(error: Exception, folder: Path, name: str) -> ModelError:
    """What transformers raised, in the words of our errors."""
    if sys.flags.optimize >= 2:
        return ModelError(
            f"{name} was not loaded: Python runs without docstrings, which transformers reads",
            expected="Python without -OO, and PYTHONOPTIMIZE at most 1",
            hint="unset PYTHONOPTIMIZE",
        )
    text = str(error).strip()
    first = text.partition("\n")[0] or type(error).__name__
    if first.endswith(":"):  # the reason stands on the next line
        first = " ".join(text.split("\n", 2)[:2])
    if "trust_remote_code" in text:
        return ModelError(
            f"{name} comes with Python code of its own, which was not run",
            expected="a model that transformers knows, or your word that you trust its authors",
            hint="--trust-remote-code (trust_remote_code=True in Python)",
        )
    if "instantiate the backend tokenizer" in text:
        if not any(folder.glob("*.model")) and not any(folder.glob("*.tiktoken")):
            return folders.no_tokenizer(folder, name)
        return ModelError(
            f"the tokenizer of {name} needs a package that is not installed, or its file is damaged",
            expected="the package that reads this format",
            hint="pip install sentencepiece tiktoken protobuf",
        )
    if isinstance(error, ImportError):
        package = re.search(r"pip install [^`'\n)]+", text) or re.search(r"(?<=No module named ')[\w.]+", text)
        command = package.group() if package else ""
        return ModelError(
            f"{name} needs a package that is not installed: {first}",
            expected="the package that reads this format",
            hint=(command if command.startswith("pip") else f"pip install {command.partition('.')[0]}")
            if command
            else None,
        )
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return ModelError(
            f"{name}: {first}",
            expected="an architecture of the installed transformers",
            hint="pip install --upgrade transformers",
        )
    return ModelError(
        f"{titled(folder, name)} cannot be loaded: {type(error).__name__}: {first}",
        expected="a transformers model with safetensors weights and a tokenizer",
    )

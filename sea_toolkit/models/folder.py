"""What the small files of a model's folder tell, before any weights are downloaded or read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.models import hf_hub
from sea_toolkit.models.adapters import CONFIG as ADAPTER_CONFIG
from sea_toolkit.models.adapters import WEIGHTS as ADAPTER_WEIGHTS
from sea_toolkit.models.weights_files import INDEX, WEIGHTS, Shapes, is_pointer, titled, weights_files, whole_weights
from sea_toolkit.util.json_text import parse_json

_TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "merges.txt")
_SMALL = 4096
"""Bytes; a Git LFS pointer has about 130."""
_TABLES = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Small files with a table in JSON; transformers goes on without a generation config that it cannot read."""


def facts_of(source: Path | str, name: str, *, trust_remote_code: bool) -> Path:
    """The folder with a model's config and tokenizer; of a Hugging Face id, in the Hugging Face cache.

    Raises:
        ModelError: it cannot be had, is a file, or holds Git LFS pointers instead of files, or small files that are
            damaged.
    """
    if isinstance(source, str):
        folder = hf_hub.fetch_facts(source, code=trust_remote_code)
    else:
        folder = source
        refuse_file(folder, name)
    small = [path for path in folder.iterdir() if path.is_file() and path.stat().st_size < _SMALL]
    pointers = sorted(path.name for path in small if path.suffix != ".safetensors" and is_pointer(path))
    if pointers:
        raise ModelError(
            f"files of {titled(folder, name)} are Git LFS pointers, not the files themselves: {', '.join(pointers)}",
            expected="the files",
            hint="git lfs pull in that folder",
        )
    for path in (folder / file for file in _TABLES):
        if path.exists():
            read_table(path, "a table in JSON")
    return folder


def read_table(path: Path, expected: str) -> dict[str, Any]:
    """The contents of a JSON file that holds a table.

    Raises:
        ModelError: it is damaged, or holds something else.
    """
    try:
        table = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(table, dict):
            raise ValueError(f"it holds a {type(table).__name__}")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", expected=expected, hint="download the model again"
        ) from error
    return table


def refuse_file(path: Path, name: str) -> None:
    """Say which folder was meant where a file was given.

    Raises:
        ModelError: `path` is a file.
    """
    if path.exists() and not path.is_dir():
        if path.suffix == ".gguf":
            raise ModelError(
                f"{name} is a GGUF file, which holds a language model", expected="the folder of a classifier or encoder"
            )
        inside = (path.parent / "config.json").exists()
        raise ModelError(
            f"{name} is a file",
            expected="the folder of a transformers model",
            hint=f"its folder: {path.parent}" if inside else "a folder with config.json, weights and a tokenizer",
        )


def weights_of(source: Path | str, folder: Path, name: str) -> Shapes:
    """Names and shapes of a model's tensors, once all of its weights are in `folder` and whole.

    Raises:
        ModelError: weights that cannot be had, are missing, cut, or pickled.
    """
    if isinstance(source, str):
        wanted = weights_files(folder) if (folder / INDEX).exists() else []
        hf_hub.fetch_weights(source, wanted or [WEIGHTS, "pytorch_model*.json"])
    return whole_weights(folder, name)


def adapter_weights(source: Path | str) -> None:
    """Download an adapter's weights, if its source is a Hugging Face id.

    Raises:
        ModelError: they cannot be had.
    """
    if isinstance(source, str):
        hf_hub.fetch_weights(source, [ADAPTER_WEIGHTS])


def read_config_file(folder: Path, name: str) -> dict[str, Any]:
    """The contents of config.json.

    Raises:
        ModelError: it is missing or damaged, or of an encoder-decoder.
    """
    path = folder / "config.json"
    if not path.exists():
        raise ModelError(
            f"{titled(folder, name)} has no config.json",
            expected="the folder of a transformers model",
            hint="save the model with save_pretrained, or give the folder in which config.json lies",
        )
    config = read_table(path, "JSON with a model_type")
    if "model_type" not in config and "auto_map" not in config:
        raise ModelError(f"{path} has no model_type", expected="the config of a transformers model")
    return config


def refuse_encoder_decoder(config: Any, name: str) -> None:
    """Raises:
    ModelError: the model encodes one text and writes another.
    """
    if config.is_encoder_decoder:
        raise ModelError(
            f"{name} is an encoder-decoder ({config.model_type}): it reads one text and writes another",
            expected="a decoder, such as Llama or GPT-2; for rewards and similarity also an encoder, such as BERT",
        )


def refuse_without_tokenizer(folder: Path, name: str) -> None:
    """Refuse a folder without tokenizer files: transformers would make an empty tokenizer from the config.

    Raises:
        ModelError: no file of a tokenizer lies in the folder.
    """
    if any(next(folder.glob(pattern), None) for pattern in _TOKENIZERS):
        return
    raise no_tokenizer(folder, name)


def no_tokenizer(folder: Path, name: str) -> ModelError:
    """The error for a folder that has weights only."""
    return ModelError(
        f"the tokenizer's files are missing in {titled(folder, name)}",
        expected="tokenizer.json or the files of a slow tokenizer, and tokenizer_config.json",
        hint="save the tokenizer beside the model: tokenizer.save_pretrained(FOLDER)",
    )


def head_rows(shapes: Shapes) -> int | None:
    """How many outputs the head of a sequence classifier has, by its weights; None for an unusual head."""
    heads = ("score.weight", "classifier.weight", "classifier.out_proj.weight", "classification_head.out_proj.weight")
    rows = [shape[0] for key, shape in shapes.items() if len(shape) == 2 and key.endswith(heads)]
    return rows[0] if len(rows) == 1 else None


def has_adapter(folder: Path) -> bool:
    """Whether an adapter lies in a folder."""
    return (folder / ADAPTER_CONFIG).exists()

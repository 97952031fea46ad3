"""Safetensors files of our own: tensors, what is known about them as one JSON text, and a hash of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import digest_of
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json

Info = TypeVar("Info")


@dataclass(frozen=True)
class FactFile(Generic[Info]):
    """A kind of such files.

    Attributes:
        name: of the kind, and of the one key in the file's metadata.
        format: names kind and version.
        schema: dataclass of what is known.
        maker: the command that writes it.
        wanted: what is expected of a file that is none.
        missing: what to do where there is no file.
        again: what to do about a damaged one.
    """

    name: str
    format: str
    schema: type[Info]
    maker: str
    wanted: str
    missing: str
    again: str

    def write(self, path: Path, tensors: Mapping[str, Tensor], info: Info) -> None:
        """Write a file, whole or not at all; its folder is made if need be.

        Raises:
            ModelError: it cannot be written.
        """
        content = packed(self.name, {"format": self.format} | asdict(info), tensors)  # type: ignore[call-overload]
        try:
            write_whole(path, content)
        except OSError as error:
            raise ModelError(f"cannot write {path}: {error.strerror or error}", hint="choose another --out") from error

    def read(self, path: Path) -> tuple[dict[str, Tensor], Info]:
        """The tensors of a file, and what is known about them.

        Raises:
            ModelError: no such file, none of this kind, or not the bytes that were written.
        """
        tensors, facts = self._contents(path)
        stated, written = facts.get("format", "not stated"), facts.pop("sha256", None)
        if stated != self.format:
            raise ModelError(
                f"{path} is no {self.name}: its format is {stated!r}",
                expected=f"{self.format!r}, as {self.maker} writes it",
            )
        if written != digest_of(facts, tensors):
            raise ModelError(f"{path} is a damaged {self.name}: it is not what was written", hint=self.again)
        del facts["format"]
        try:
            return tensors, TypeAdapter(self.schema).validate_json(json.dumps(facts))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ModelError(f"{path} is a damaged {self.name}: {place}: {first['msg']}", hint=self.again) from error

    def _contents(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        from safetensors import SafetensorError

        try:
            tensors, metadata = unpacked(path)
        except FileNotFoundError as error:
            raise ModelError(f"there is no {self.name} at {path}", hint=self.missing) from error
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(
                f"{path} is corrupt, truncated or no safetensors file: {error}", expected=self.wanted
            ) from error
        try:
            facts = parse_json(metadata.get(self.name, "{}"))
        except ValueError:
            facts = None
        return tensors, facts if isinstance(facts, dict) else {"format": "not readable"}


def packed(key: str, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file: the facts with their hash stand under the key."""
    from safetensors.torch import save

    # one key only: safetensors writes several in random order, and the same file should be the same bytes
    return save(dict(tensors), {key: json.dumps(dict(facts) | {"sha256": digest_of(facts, tensors)})})


def unpacked(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file.

    Raises:
        OSError, SafetensorError, ValueError: it cannot be read.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as file:
        # copies: another process may cut the file that they are mapped from
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118

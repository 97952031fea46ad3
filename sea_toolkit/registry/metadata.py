"""The metadata of installed distributions as real machines have it: stale copies, lost names, bytes of other encodings.

Nothing is imported. What cannot be read is left out or told of, and never hides another distribution.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from sea_toolkit.hookspecs import PROJECT
from sea_toolkit.registry.records import normalize
from sea_toolkit.registry.static.files import recorded_hashes

UNKNOWN_VERSION = "?"
"""The version of a distribution that states none."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?"
    r"([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)
"""A version that pip can compare (PEP 440)."""

_STEM = re.compile(r"(?P<name>.+?)(-(?P<version>\d[^-]*))?(-py[\d.]+)?$")
_POINT = re.compile(r"(?P<name>[^=]+?)\s*=\s*(?P<value>[\w.]+\s*(:\s*[\w.]+)?)\s*(\[.*\])?$")


@dataclass
class Installed:
    """A distribution that has plugins.

    Attributes:
        name: normalized; if the metadata states none, that of its folder.
        version: as stated, else that of its folder, else "?".
        requirement: its line in a requirements file; a comment if pip could not look for it.
        folder: its `.dist-info` or `.egg-info`.
        points: name and value of its entry points of group `sea_toolkit`.
        faults: lines of that group that are no entry points.
        warnings: what is odd about it.
    """

    name: str
    version: str
    requirement: str
    folder: Path
    points: list[tuple[str, str]]
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def owns(self, file: Path) -> bool | None:
        """Whether a file is the one that it brought, by the hashes of its RECORD; None if that cannot be told."""
        stated = recorded_hashes(self.folder)
        place = next((name for name in stated if self.folder.parent / name == file), None)
        if place is None:
            return False if stated and self.folder.suffix == ".dist-info" and not self.editable else None
        return _hash_of(file, stated[place])

    @property
    def editable(self) -> bool:
        """Whether its code lies in a folder of its author."""
        return any(name.endswith(".pth") or "__editable__" in name for name in recorded_hashes(self.folder))


def installed() -> list[Installed]:
    """Every distribution on `sys.path` with entry points of this project, in the order of the path."""
    return list(filter(None, map(_read, importlib.metadata.distributions())))


def _hash_of(file: Path, stated: str) -> bool | None:
    algorithm, _, wanted = stated.partition("=")
    if not wanted or algorithm not in hashlib.algorithms_guaranteed:
        return None
    try:
        digest = hashlib.new(algorithm, file.read_bytes()).digest()
    except OSError:
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == wanted


def _read(distribution: importlib.metadata.Distribution) -> Installed | None:
    points, faults = _points(_text(distribution, "entry_points.txt"))
    if not points and not faults:
        return None
    folder = _folder(distribution)
    headers = HeaderParser().parsestr(_text(distribution, "METADATA") or _text(distribution, "PKG-INFO"))
    stem = _STEM.match(folder.name.removesuffix(folder.suffix) if folder.suffix else folder.parent.name)
    name, version = str(headers["Name"] or "").strip(), str(headers["Version"] or "").strip()
    requirement, warnings = _requirement(name, version, folder), []
    if not name:
        name = stem["name"] if stem else folder.name
        warnings.append(f"its metadata states no name; this one is that of {folder}")
    if not version:
        version = (stem["version"] if stem else None) or UNKNOWN_VERSION
        warnings.append(f"its metadata states no version ({folder})")
    return Installed(normalize(name), version, requirement, folder, points, faults, warnings)


def _requirement(name: str, version: str, folder: Path) -> str:
    """A line that pip can read, whatever the metadata states."""
    where = " ".join(str(folder).split())
    if not _NAME.fullmatch(normalize(name)):
        return f"# {where}: its metadata states no name that pip could look for"
    if not _VERSION.fullmatch(version):
        return f"{normalize(name)}  # {where}: its metadata states no version that pip could compare"
    return f"{normalize(name)}=={version}"


def _text(distribution: importlib.metadata.Distribution, name: str) -> str:
    """A file of the metadata; bytes that are not UTF-8 are replaced. Empty if there is none."""
    try:
        return distribution.read_text(name) or ""
    except UnicodeDecodeError:
        return _path(distribution).joinpath(name).read_bytes().decode("utf-8", "replace")
    except Exception:  # no permission, a folder in place of a file, a finder with ideas of its own
        return ""


def _path(distribution: importlib.metadata.Distribution) -> Any:
    """The folder of the metadata: a path, or a place in a zip file."""
    return vars(distribution).get("_path") or Path(str(distribution.locate_file("")))


def _folder(distribution: importlib.metadata.Distribution) -> Path:
    return Path(str(_path(distribution)).rstrip("/\\"))


def _points(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The entry points of this project's group, and the lines of the group that are none."""
    points: list[tuple[str, str]] = []
    faults: list[str] = []
    for line in _lines_of_group(text):
        match = _POINT.fullmatch(line)
        if match:
            points.append((match["name"], line.partition("=")[2].strip()))
        else:
            faults.append(line)
    return list(dict.fromkeys(points)), faults


def _lines_of_group(text: str) -> Iterator[str]:
    group = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and group == PROJECT:
            yield line

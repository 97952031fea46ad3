"""A new plugin package from the templates: names checked, files rendered, the folder written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.records import KINDS
from sea_toolkit.util.version import DISTRIBUTION

TEMPLATES = Path(__file__).parent / "templates"
PROBES = Path(__file__).parents[1] / "models" / "probes"
PREFIX = "sea-"

TAKEN = (DISTRIBUTION, "sea-toolkit")
"""This package itself, and a program of somebody else's on the package index."""

_NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLACE = re.compile(r"\{\{(\w+)\}\}")

EXAMPLES = {
    "energy": ("Words", "Answers that use certain words, each once: differentiable."),
    "reward": ("ShortSentences", "Answers of short sentences: a reward of the text alone."),
    "relaxation": ("best_few", "Softmax over the best few candidates; the others get exactly 0."),
    "schedule": ("trapezoid", "Rise, stay, fall: a trapezoid over the run."),
    "sampler": ("FreshAnswers", "A fresh answer of the policy per step, accepted or rejected: an exact law."),
    "initializer": ("opening", "Every chain starts with the same words and goes on as the policy likes."),
    "model": ("ShippedProbe", "A probe reward that ships in this package."),
    "engine": ("one_by_one", "One shard of many prompts after the other, in this process."),
    "recipe": ("cheerful", "Short cheerful answers: a reward, a length and a limit under one name."),
}
"""Kind of package to the class or function of its template, and what that does."""

ITEM_KINDS = {kind: "energy" if kind == "reward" else kind for kind in EXAMPLES}
"""Kind of package to the kind of its item: a reward is an energy whose negative people read."""

FILES = {
    "common/pyproject.toml.in": "pyproject.toml",
    "common/README.md.in": "README.md",
    "common/LICENSE.in": "LICENSE",
    "common/gitignore.in": ".gitignore",
    "common/workflow.yml.in": ".github/workflows/tests.yml",
    "common/init.py.in": "src/{{module}}/__init__.py",
    "{{kind}}/code.py.in": "src/{{module}}/{{kind}}.py",
    "{{kind}}/test.py.in": "tests/test_{{kind}}.py",
}
"""Template to the file that it becomes."""


@dataclass(frozen=True)
class Names:
    """The names in a new package.

    Attributes:
        item: the name in recipes, `sea-side` without its prefix.
        dist: the distribution and its folder; `module`: what is imported.
    """

    item: str
    kind: str

    @property
    def dist(self) -> str:
        return PREFIX + self.item

    @property
    def module(self) -> str:
        return self.dist.replace("-", "_")

    @property
    def words(self) -> dict[str, str]:
        """Placeholder to its value."""
        example, summary = EXAMPLES[self.kind]
        return {
            "item": self.item,
            "kind": self.kind,
            "dist": self.dist,
            "module": self.module,
            "hook": KINDS[ITEM_KINDS[self.kind]],
            "object": example,
            "summary": summary,
            "year": str(datetime.now(UTC).year),
        }


def names_of(name: str, kind: str, built_in: Collection[str]) -> Names:
    """The names that follow from the one that was asked for; a leading `sea-` is not repeated.

    Args:
        name: lower-case words with hyphens.
        kind: a key of `EXAMPLES`.
        built_in: names that cannot be taken.

    Raises:
        RecipeError: the name does not fit a package, or is that of a built-in item.
    """
    item = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(item):
        near = re.sub(r"[^a-z0-9]+", "-", item.lower()).strip("-").lstrip("0123456789-")
        raise RecipeError(
            f"{name!r} is no name for a plugin",
            expected="at most 30 lower-case letters, digits and '-' between words, a letter first: short-answers",
            hint=near if _NAME.fullmatch(near) else None,
        )
    if PREFIX + item in TAKEN:
        raise RecipeError(f"{name!r} would be the distribution {PREFIX}{item}, which exists", expected="another name")
    if item in built_in:
        raise RecipeError(
            f"{kind} {item!r} is built-in, and a built-in name cannot be taken",
            expected="another name",
            hint=f"my-{item}; sea-toolkit describe {item} shows what there is",
        )
    return Names(item, kind)


def render(names: Names) -> dict[str, bytes]:
    """Path within the package to content."""
    words = names.words
    words["readme"] = _filled((TEMPLATES / names.kind / "readme.md.in").read_text(encoding="utf-8"), words).strip()
    files = {}
    for template, path in FILES.items():
        text = (TEMPLATES / _filled(template, words)).read_text(encoding="utf-8")
        files[_filled(path, words)] = _filled(text, words).encode()
    files[f"src/{names.module}/py.typed"] = b""
    if names.kind == "model":
        for suffix in ("safetensors", "md"):
            files[f"src/{names.module}/probe.{suffix}"] = (PROBES / f"sentiment.{suffix}").read_bytes()
    return files


def _filled(text: str, words: dict[str, str]) -> str:
    return _PLACE.sub(lambda match: words[match[1]], text)


def write_package(files: dict[str, bytes], folder: Path) -> None:
    """Write all files to a folder that does not exist yet, through a temporary one beside it.

    Raises:
        RecipeError: the folder exists, or cannot be written; nothing is changed then.
    """
    if os.path.lexists(folder):
        raise RecipeError(f"{folder} exists already; nothing was changed", hint="another NAME, or --out DIR")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = folder.parent / f".{folder.name}.{secrets.token_hex(8)}"
        scratch.mkdir()
    except OSError as error:
        raise RecipeError(f"cannot write to {folder.parent}: {error.strerror or error}", hint="--out DIR") from error
    try:
        for path, content in files.items():
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes(content)
        os.rename(scratch, folder)
    except OSError as error:
        raise RecipeError(f"cannot write {folder}: {error.strerror or error}", hint="--out DIR") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

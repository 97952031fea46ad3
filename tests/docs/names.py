"""Names of code in backticks, and whether they exist: `sea_toolkit.a.b`, `problem.start(noise)`, `Scored.nll`."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sea_toolkit
from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.events import Event
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.runs.result import Result

OBJECTS: dict[str, tuple[type, ...]] = {
    "problem": (Problem,),
    "context": (Context,),
    "response": (SoftResponse,),
    "noise": (Noise,),
    "policy": (Policy, PolicySpec),  # an object in Python, a table in a recipe
    "event": (Event,),
    "ledger": (Ledger,),
    "clock": (Clock,),
    "result": (Result,),
    "scored": (Scored,),
    "finder": (ModelFinder,),
}
"""What the documentation calls an object, and its class."""

FILES = {"json", "jsonl", "toml", "py", "md", "safetensors"}
"""Endings of file names: `result.json` is no attribute."""

PACKAGE = Path(sea_toolkit.__file__).parent
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
CALLS = r"(?:\((?:[^()]|\([^()]*\))*\))?"
NAME = re.compile(rf"(?<![\w.\-/:@$\"'\[])([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*{CALLS})+)")
CLASS = re.compile(r"[A-Z][a-z]+\w*")


def spans(text: str) -> Iterator[tuple[int, str]]:
    """Line and content of every code span of a Markdown text; fenced blocks are left out."""
    without = re.sub(r"^( *)(```+).*?^\1\2 *$", lambda m: "\n" * m[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    start = 0
    for paragraph in re.split(r"(\n\s*\n)", without):
        for match in SPAN.finditer(paragraph):
            line = without.count("\n", 0, start + match.start()) + 1
            yield line, " ".join(match[2].split())
        start += len(paragraph)


def unknown_names(text: str) -> list[str]:
    """Names in the code spans of a Markdown text that stand for nothing, as `line: name`."""
    faults = []
    for line, span in spans(text):
        faults += [f"{line}: {path}" for path in dotted(span) if not exists(path)]
        if CLASS.fullmatch(span) and not is_class(span):
            faults.append(f"{line}: {span}")
    return faults


def dotted(span: str) -> Iterator[str]:
    """The dotted names in a code span without their calls; those among the arguments of a call as well."""
    start = 0
    while match := NAME.search(span, start):
        path = match[0]
        while (inner := re.sub(r"\([^()]*\)", "", path)) != path:
            path = inner
        yield path
        start = match.start(2)


FOREIGN = {"Yes"}
"""Words in backticks that look like a class and are none."""


def is_class(name: str) -> bool:
    """Whether a capitalized word is a class of sea_toolkit, a public name or one of Python's own."""
    return name in classes() or name in sea_toolkit.__all__ or name in vars(builtins) or name in FOREIGN


def exists(path: str) -> bool:
    """Whether a dotted name stands for something; True for a root that is none of ours."""
    root, *rest = path.split(".")
    if rest[-1] in FILES:
        return True
    if root == "sea_toolkit":
        return in_modules(path)
    if root == "sea":
        return rest[0] in sea_toolkit.__all__ and in_modules(f"sea_toolkit.{'.'.join(rest)}")
    if root in OBJECTS:
        return any(follows(cls, rest) for cls in OBJECTS[root])
    if root in classes():
        module = importlib.import_module(classes()[root])
        return follows(vars(module)[root], rest)
    return True


def in_modules(path: str) -> bool:
    """Whether `sea_toolkit.a.b.c` is a module, or what a module holds."""
    parts = path.split(".")
    thing: Any = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        if isinstance(thing, types.ModuleType):
            try:
                thing = getattr(thing, part)
            except AttributeError:
                try:
                    thing = importlib.import_module(".".join(parts[: i + 1]))
                except ModuleNotFoundError:
                    return False
        else:
            return inspect.isclass(thing) and follows(thing, parts[i:])
    return True


def follows(cls: type | None, members: list[str]) -> bool:
    """Whether an object of a class has a member, that member the next one, and so on.

    A member is followed by its annotation; what has none that is a class leads nowhere.
    """
    for member in members:
        if cls is None or not has(cls, member):
            return False
        cls = type_of(cls, member)
    return True


def has(cls: type, member: str) -> bool:
    """Whether objects of a class have this member: a method, a property, a field, or what the class sets on itself."""
    return hasattr(cls, member) or any(
        member in vars(base).get("__annotations__", {}) or member in _set_on_self(base)
        for base in cls.__mro__ if base.__module__.startswith("sea_toolkit")
    )  # fmt: skip


def type_of(cls: type, member: str) -> type | None:
    """The class of a member, by its annotation; None where that is no class."""
    found = inspect.getattr_static(cls, member, None)
    function = found.fget if isinstance(found, property) else found
    try:
        hints = typing.get_type_hints(inspect.unwrap(function) if callable(function) else cls)
    except (NameError, TypeError):
        return None
    kind = hints.get("return" if callable(function) else member)
    kinds = [k for k in typing.get_args(kind) if k is not type(None)] if typing.get_origin(kind) else [kind]
    return kinds[0] if len(kinds) == 1 and inspect.isclass(kinds[0]) else None


@functools.cache
def _set_on_self(cls: type) -> set[str]:
    """Names that the class's own code assigns on `self`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }  # fmt: skip


@functools.cache
def classes() -> dict[str, str]:
    """Every class of sea_toolkit, and the module that defines it; read from the sources, nothing is imported."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("sea_toolkit", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, module)
    return found

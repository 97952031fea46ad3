"""What a source uses of sea_toolkit, and whether it is public: in `__all__` of the package or of its `testing`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import sea_toolkit
import sea_toolkit.testing
from tests.docs.test_examples import Block

PUBLIC = {"sea_toolkit": {*sea_toolkit.__all__, "testing"}, "sea_toolkit.testing": set(sea_toolkit.testing.__all__)}
"""The modules that an author may import from, and their names."""

ADDRESS = re.compile(r"(sea_toolkit(?:\.\w+)+)(?::(\w+))?")
"""A module, or something in it, as a string: `register(target=…)`, `monkeypatch.setattr("…")`, `import_module("…")`."""


def is_public(dotted: str) -> bool:
    """Whether an author may use a dotted name: a public module, a name of one, or what belongs to such a name."""
    module = "sea_toolkit.testing" if re.match(r"sea_toolkit\.testing\b", dotted) else "sea_toolkit"
    rest = dotted.removeprefix(module).lstrip(".").split(".")
    return rest == [""] or rest[0] in PUBLIC[module]


def private_uses(source: str) -> list[str]:
    """Every use of sea_toolkit that is not public, as `line: dotted.name`."""
    tree = ast.parse(source)
    aliases = dict(_aliases(tree))
    uses = [use for node in ast.walk(tree) for use in _uses(node, aliases)]
    return [f"{line}: {dotted}" for line, dotted in sorted(set(uses)) if not is_public(dotted)]


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local names of the public modules: `sea` → `sea_toolkit`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name in PUBLIC:
                    yield (name.asname, name.name) if name.asname else ("sea_toolkit", "sea_toolkit")
        elif isinstance(node, ast.ImportFrom) and node.module == "sea_toolkit" and not node.level:
            for name in node.names:
                if name.name == "testing":
                    yield name.asname or "testing", "sea_toolkit.testing"


def _uses(node: ast.AST, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The dotted names of sea_toolkit that one node of the syntax tree names."""
    if isinstance(node, ast.Import):
        yield from ((node.lineno, n.name) for n in node.names if n.name.split(".")[0] == "sea_toolkit")
    elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "sea_toolkit":
        yield from ((node.lineno, f"{node.module}.{n.name}") for n in node.names)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
        yield node.lineno, f"{aliases[node.value.id]}.{node.attr}"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):  # sea.testing.check_energy
        inner = node.value
        if isinstance(inner.value, ast.Name) and f"{aliases.get(inner.value.id)}.{inner.attr}" in PUBLIC:
            yield node.lineno, f"{aliases[inner.value.id]}.{inner.attr}.{node.attr}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        address = ADDRESS.fullmatch(node.value)
        if address:
            yield node.lineno, ".".join(part for part in address.groups() if part)


def page_source(blocks: list[Block]) -> str:
    """The Python blocks of a page as one source, each at its own lines: they share a namespace."""
    lines: list[str] = []
    for block in blocks:
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.body.splitlines()
    return "\n".join(lines) + "\n"


def lazy_faults(source: str) -> list[str]:
    """Where a module's `_LAZY`, its `TYPE_CHECKING` block, its imports and `__all__` disagree."""
    tree = ast.parse(source)
    package, lazy, listed = "", {}, []
    typed: dict[str, str] = {}
    eager: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typed = {n.name: f.module or "" for f in node.body if isinstance(f, ast.ImportFrom) for n in f.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sea_toolkit"):
            eager |= {n.asname or n.name for n in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "_LAZY":
                lazy = ast.literal_eval(node.value)
            elif node.targets[0].id == "__all__":
                listed = ast.literal_eval(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            package = next(iter(re.findall(r"import_module\(f'([\w.]+)\.", ast.unparse(node))), "")
    faults = [f"{n}: _LAZY and TYPE_CHECKING disagree" for n in sorted(lazy.keys() | typed.keys())
              if typed.get(n) != f"{package}.{lazy.get(n)}"]  # fmt: skip
    faults += [f"{n}: in __all__ and nowhere imported" for n in sorted(set(listed) - eager - lazy.keys())]
    faults += [f"{n}: lazy and not in __all__" for n in sorted(lazy.keys() - set(listed))]
    faults += [f"{n}: twice in __all__" for n in sorted({n for n in listed if listed.count(n) > 1})]
    return faults

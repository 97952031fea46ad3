"""Reading plugin source as a syntax tree, without executing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from sea_toolkit.registry.docstrings import first_line
from sea_toolkit.registry.hookcheck import Hook

Function = ast.FunctionDef | ast.AsyncFunctionDef


def top_level_names(tree: ast.Module) -> set[str] | None:
    """Names that the module binds at its top level, in branches too; None if they are undecidable."""
    names: set[str] = set()
    for node in _outside_functions(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("globals", "vars", "exec", "setattr"):
            return None
    return None if {"*", "__getattr__"} & names else names


def plugin_body(tree: ast.Module, attribute: str) -> list[ast.stmt] | None:
    """The statements that define the plugin object: the module's, or those of the class it is made from."""
    if not attribute:
        return tree.body
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    made_from = attribute
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if any(isinstance(t, ast.Name) and t.id == attribute for t in node.targets):
            made_from = ast.unparse(node.value.func)
    definition = classes.get(made_from)
    return definition.body if definition is not None and not definition.bases else None


def stated_api(body: Sequence[ast.stmt]) -> Any:
    """The constant assigned to `sea_api`, or None."""
    stated = None
    for node in body:
        targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "sea_api" for target in targets):
            value = getattr(node, "value", None)
            stated = value.value if isinstance(value, ast.Constant) else None
    return stated


def declared_hooks(tree: ast.Module, body: Sequence[ast.stmt]) -> list[tuple[Hook, Function]]:
    """The functions in `body` that are hooks by their mark or their name."""
    markers = _markers(tree)
    hooks = []
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        mark = next((d for d in node.decorator_list if _is_marker(d, markers)), None)
        if mark is None and (not node.name.startswith("sea_") or node.decorator_list):
            continue  # an unknown decorator may be a marker in disguise
        marks: dict[str, Any] = {}
        if isinstance(mark, ast.Call):
            marks = {k.arg: k.value.value for k in mark.keywords if k.arg and isinstance(k.value, ast.Constant)}
        static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if body is not tree.body and not static:
            names = names[1:]  # self
        count = len(node.args.defaults)
        names_kw = [a.arg for a in node.args.kwonlyargs]
        with_default = [n for n, d in zip(names_kw, node.args.kw_defaults, strict=True) if d is not None]
        hook = Hook(
            function=node.name,
            hook=marks.get("specname") or node.name,
            arguments=(*names, *names_kw),
            defaults=(*(names[-count:] if count else ()), *with_default),
            variadic=bool(node.args.vararg or node.args.kwarg),
            marked=mark is not None,
            optional=bool(marks.get("optionalhook")),
            wrapper=bool(marks.get("wrapper") or marks.get("hookwrapper")),
        )
        hooks.append((hook, node))
    return hooks


def items_in(function: Function) -> tuple[dict[str, str], list[str], bool]:
    """Names registered as literals in a hook, with their summaries; those registered twice for certain; and whether
    nothing else can be registered."""
    arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    register = "register" if "register" in arguments else None
    items: dict[str, str] = {}
    certain: list[str] = []
    read = 0
    for node in ast.walk(function):
        calls: list[tuple[ast.Call, str]] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node is not function:
            doc = first_line(ast.get_docstring(node))
            calls = [(d, doc) for d in node.decorator_list if isinstance(d, ast.Call)]
        elif isinstance(node, ast.Expr):
            inner = node.value.func if isinstance(node.value, ast.Call) else None
            calls = [(c, "") for c in (node.value, inner) if isinstance(c, ast.Call)]
        for call, doc in calls:
            name = _literal(call, 0, "name")
            if isinstance(call.func, ast.Name) and call.func.id == register and name is not None:
                items[name] = _literal(call, None, "summary") or doc
                read += 1
                if node in function.body:
                    certain.append(name)
    used = sum(isinstance(node, ast.Name) and node.id == register for node in ast.walk(function))
    return items, sorted({name for name in certain if certain.count(name) > 1}), read == used


def commands_in(function: Function) -> dict[str, str]:
    """Commands that `@cli.command("name")`, or a bare `@cli.command()`, adds in a hook, with their first line."""
    commands = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.FunctionDef):
            continue
        for call in (decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)):
            if ast.unparse(call.func) in ("cli.command", "cli.group"):
                name = _literal(call, 0, "name") or node.name.replace("_", "-")
                commands[name] = first_line(ast.get_docstring(node))
    return commands


def _markers(tree: ast.Module) -> set[str]:
    """Plain names that stand for `hookimpl` in this module."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "hookimpl"}
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).split(".")[-1] == "hookimpl":
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _is_marker(decorator: ast.expr, markers: set[str]) -> bool:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(inner, ast.Attribute):
        return inner.attr == "hookimpl"
    return isinstance(inner, ast.Name) and inner.id in markers


def _literal(call: ast.Call, position: int | None, keyword: str) -> str | None:
    values: list[ast.expr] = [k.value for k in call.keywords if k.arg == keyword]
    if position is not None:
        values = [*call.args[position : position + 1], *values]
    value = values[0] if values else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _outside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported, function bodies left out."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))

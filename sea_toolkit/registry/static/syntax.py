"""Reading plugin source as a syntax tree, without executing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from sea_toolkit.registry.docstrings import first_line
from sea_toolkit.registry.hookcheck import Form, Hook

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


def defines_class(tree: ast.Module, attribute: str) -> bool:
    """Whether the attribute is a class of the module, and not an instance of one."""
    bound = [node for node in tree.body if attribute and attribute in _bound_by(node)]
    return bool(bound) and isinstance(bound[-1], ast.ClassDef)


def _bound_by(node: ast.stmt) -> list[str]:
    """Names that one statement at the top level binds, as far as it matters for classes and instances."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


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


def declared_hooks(tree: ast.Module, body: Sequence[ast.stmt], of_class: bool = False) -> list[tuple[Hook, Function]]:
    """The functions in `body` that are hooks by their mark or their name.

    Args:
        tree: the module.
        body: what defines the plugin object; see `plugin_body`.
        of_class: the plugin object is a class, not an instance of it.
    """
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
        names_of_decorators = [ast.unparse(d) for d in node.decorator_list]
        static = "staticmethod" in names_of_decorators
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
            form=_form_of(node, None if mark is None else node.decorator_list.index(mark), of_class),
        )
        hooks.append((hook, node))
    return hooks


def _form_of(function: Function, mark: int | None, of_class: bool) -> Form:
    """The form of a hook; `mark` is the place of its mark among the decorators."""
    names = [ast.unparse(decorator) for decorator in function.decorator_list]
    bound = [i for i, name in enumerate(names) if name in ("classmethod", "staticmethod")]
    if mark is not None and any(place > mark for place in bound):
        return "covered"
    if isinstance(function, ast.AsyncFunctionDef):
        return "coroutine"
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(function)):
        return "generator"
    return "unbound" if of_class and not bound else "function"


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes in it."""
    return _outside_functions(ast.Module(body=function.body, type_ignores=[]))


def commands_in(function: Function) -> dict[str, str]:
    """Commands that `@cli.command("name")`, or a bare `@cli.command()`, adds in a hook, with their first line."""
    commands = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.FunctionDef):
            continue
        for call in (decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)):
            if ast.unparse(call.func) in ("cli.command", "cli.group"):
                name = literal(call, 0, "name") or node.name.replace("_", "-")
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


def literal(call: ast.Call, position: int | None, keyword: str) -> str | None:
    """The text that a call passes at this position or by this keyword, if it is written there."""
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

"""What a hook registers, read from its source: names, summaries, and the signatures of what stands behind them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.docstrings import first_line
from sea_toolkit.registry.forms import constraint_warnings
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.signatures import check_parameters
from sea_toolkit.registry.static.locate import MissingModuleError, find_spec, source_file
from sea_toolkit.registry.static.syntax import Function, literal

Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Registration:
    """One name that a hook registers as a literal.

    Attributes:
        name, summary: as registered.
        certain: it is registered in any case, not in a branch.
        definition: the function or class, if it could be found.
    """

    name: str
    summary: str
    certain: bool
    definition: Definition | None


def registrations_in(function: Function, tree: ast.Module) -> tuple[list[Registration], bool]:
    """What a hook registers by literal names, and whether it can register nothing else.

    Args:
        function: the hook.
        tree: its module.
    """
    arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    register = "register" if "register" in arguments else None
    found = []
    for node in ast.walk(function):
        for call, registered in _calls(node, function):
            name = literal(call, 0, "name")
            if not (isinstance(call.func, ast.Name) and call.func.id == register) or name is None:
                continue
            behind = _definition(call, registered, tree)
            doc = first_line(ast.get_docstring(behind)) if behind is not None else ""
            summary = literal(call, None, "summary") or doc
            found.append(Registration(name, summary, node in function.body, behind))
    used = sum(isinstance(node, ast.Name) and node.id == register for node in ast.walk(function))
    return found, len(found) == used


def judge(record: PluginRecord, kind: str, found: Sequence[Registration]) -> list[str]:
    """Why these registrations must fail; what is only odd becomes a warning of the record."""
    errors = []
    certain = [one.name for one in found if one.certain]
    for name in sorted({name for name in certain if certain.count(name) > 1}):
        errors.append(f"{kind} {name!r} is registered twice; expected: one object for each name")
    for one in found:
        parameters = _parameters(one.definition) if one.definition is not None else None
        if one.definition is None or parameters is None:
            continue
        of_class = isinstance(one.definition, ast.ClassDef)
        called = f"class {one.definition.name}" if of_class else f"{one.definition.name}()"
        try:
            check_parameters(kind, called, parameters, of_class)
        except PluginError as error:
            errors += [str(error)] if one.certain else []
        options = [p.name for p in parameters if of_class or p.kind is Parameter.KEYWORD_ONLY]
        for warning in constraint_warnings(kind, one.name, options):
            record.warn(warning)
    return errors


def _calls(node: ast.AST, hook: Function) -> Iterator[tuple[ast.Call, ast.AST | None]]:
    """The calls of a statement that may register something, each with what it registers, if that is written there."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node is not hook:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):
                yield decorator, node
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call, inner = node.value, node.value.func
        by_name = [keyword.value for keyword in call.keywords if keyword.arg == "function"]
        yield call, next(iter([*call.args[1:2], *by_name]), None)
        if isinstance(inner, ast.Call):
            yield inner, next(iter(call.args), None)


def _definition(call: ast.Call, registered: ast.AST | None, tree: ast.Module) -> Definition | None:
    """The definition behind a registration: decorated, or at the top level of the module or of the target's module."""
    if isinstance(registered, Definition):
        return registered
    if isinstance(registered, ast.Name):
        return _top_level(tree, registered.id)
    target = literal(call, None, "target") or ""
    module, _, attribute = target.partition(":")
    try:
        file = source_file(find_spec(module)) if attribute else None
        return None if file is None else _top_level(ast.parse(file.read_bytes()), attribute)
    except (MissingModuleError, OSError, SyntaxError, ValueError):
        return None


def _top_level(tree: ast.Module, name: str) -> Definition | None:
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name]
    return found[0] if len(found) == 1 else None


def _parameters(definition: Definition) -> list[Parameter] | None:
    """The parameters of a function or a constructor; None where a decorator or a base class may change them."""
    if isinstance(definition, ast.AsyncFunctionDef):
        return None
    if isinstance(definition, ast.ClassDef):
        constructors = [n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if len(constructors) != 1 or constructors[0].decorator_list or definition.keywords:
            return None
        return _of_arguments(constructors[0].args)[1:]
    others = [
        d for d in definition.decorator_list if not (isinstance(d, ast.Call) and ast.unparse(d.func) == "register")
    ]
    return None if others else _of_arguments(definition.args)


def _of_arguments(arguments: ast.arguments) -> list[Parameter]:
    by_position = [*arguments.posonlyargs, *arguments.args]
    without = len(by_position) - len(arguments.defaults)
    parameters = []
    for place, argument in enumerate(by_position):
        kind = Parameter.POSITIONAL_ONLY if argument in arguments.posonlyargs else Parameter.POSITIONAL_OR_KEYWORD
        default = Parameter.empty if place < without else _Written(arguments.defaults[place - without])
        parameters.append(Parameter(argument.arg, kind, default=default))
    if arguments.vararg:
        parameters.append(Parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        default = Parameter.empty if value is None else _Written(value)
        parameters.append(Parameter(argument.arg, Parameter.KEYWORD_ONLY, default=default))
    if arguments.kwarg:
        parameters.append(Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD))
    return parameters


@dataclass(frozen=True)
class _Written:
    """A default as it is written; it prints like the value."""

    node: ast.expr

    def __repr__(self) -> str:
        return ast.unparse(self.node)

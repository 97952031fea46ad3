"""Whether a plugin's hook functions fit the specifications; the same rules for a loaded object and for source text."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Any, Literal

from sea_toolkit import hookspecs
from sea_toolkit.errors import did_you_mean
from sea_toolkit.hookspecs import PROJECT, SEA_API

SIGNATURES: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if name.startswith("sea_") and inspect.isfunction(function)
}
"""Hook name to the argument names of its specification."""


Form = Literal["function", "coroutine", "generator", "unbound", "covered", "object"]
"""What a hook is. Only a function, or a bound method, is called as one: an "unbound" method belongs to a class that the
entry point names in place of an instance, a "covered" one has `@classmethod` or `@staticmethod` below the mark, and an
"object" is a `functools.partial`, a class or anything else that can be called."""


@dataclass(frozen=True)
class Hook:
    """The signature and marks of one function of a plugin; `hook` is the specification that it means to implement."""

    function: str
    hook: str
    arguments: tuple[str, ...]
    defaults: tuple[str, ...] = ()
    variadic: bool = False
    marked: bool = True
    optional: bool = False
    wrapper: bool = False
    form: Form = "function"


_CURES: dict[Form, str] = {
    "coroutine": "is a coroutine function, and hooks are called without waiting; leave out async",
    "generator": "has a yield, so that a call of it does nothing; leave out the yield",
    "unbound": "is a method of a class, and the entry point names the class; let it name an instance",
    "covered": "is marked above @classmethod or @staticmethod, where the mark is lost; put @sea.hookimpl next to def",
    "object": "is marked and is no function, and only functions are called as hooks; write a def that calls it",
}
"""What is wrong with a form, and what to do."""


def error_in(hook: Hook) -> str | None:
    """Why this marked function cannot be registered, or None."""
    if hook.hook not in SIGNATURES:
        return None if hook.optional else f"there is no hook {hook.hook!r}: {did_you_mean(hook.hook, SIGNATURES)}"
    expected = f"expected: def {hook.function}({', '.join(SIGNATURES[hook.hook])})"
    if hook.wrapper:
        return f"{hook.function} is a hook wrapper, but each plugin is called by itself; {expected}"
    if hook.form in _CURES:
        return f"{hook.function} {_CURES[hook.form]}; {expected}"
    if hook.variadic:
        return f"{hook.function} takes *args or **kwargs, which no host fills; {expected}"
    if hook.defaults:
        return (
            f"argument {hook.defaults[0]!r} of {hook.function} has a default: pluggy fills it or not depending on "
            f"its version; {expected}"
        )
    wrong = [name for name in hook.arguments if name not in SIGNATURES[hook.hook]]
    if wrong:
        return f"{hook.function} has an argument {wrong[0]!r} that the hook does not have; {expected}"
    return None


def warning_in(hook: Hook) -> str | None:
    """A word on an unmarked function that looks like a hook, or None."""
    looks_like = hook.function.startswith("sea_register") or difflib.get_close_matches(
        hook.function, SIGNATURES, n=1, cutoff=0.8
    )
    if not hook.marked and hook.function.startswith("sea_") and looks_like:
        return f"{hook.function} is not marked with @sea.hookimpl and is therefore ignored"
    return None


def api_error(stated: Any) -> str | None:
    """Why a plugin that states this `sea_api` is refused, or None."""
    if stated == SEA_API:
        return None
    return (
        f"made for sea_api {stated!r}, this sea_toolkit has sea_api {SEA_API}: "
        "install a version of the plugin or of the toolkit that fits"
    )


def hooks_of(plugin: Any) -> list[Hook]:
    """The hook functions of a loaded plugin, marked ones and those that only look like it."""
    hooks = []
    for name in dir(plugin):
        try:
            function = getattr(plugin, name)
            form = _form_of(plugin, name, function)
            marks = getattr(function, f"{PROJECT}_impl", None) if form != "covered" else _covered_mark(plugin, name)
            marks = marks if isinstance(marks, dict) else None
            if not (callable(function) and (marks is not None or (form != "object" and name.startswith("sea_")))):
                continue
            parameters = inspect.signature(function).parameters.values()
        except Exception:  # a property that raises, or has no signature, cannot be a hook
            continue
        hooks.append(
            Hook(
                function=name,
                hook=(marks or {}).get("specname") or name,
                arguments=tuple(p.name for p in parameters),
                defaults=tuple(p.name for p in parameters if p.default is not p.empty),
                variadic=any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters),
                marked=marks is not None,
                optional=bool((marks or {}).get("optionalhook")),
                wrapper=bool((marks or {}).get("wrapper") or (marks or {}).get("hookwrapper")),
                form=form,
            )
        )
    return hooks


def _form_of(plugin: Any, name: str, function: Any) -> Form:
    if _covered_mark(plugin, name) is not None:
        return "covered"
    if not inspect.isroutine(function):
        return "object"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "coroutine"
    if inspect.isgeneratorfunction(function):
        return "generator"
    unbound = inspect.isclass(plugin) and inspect.isfunction(inspect.getattr_static(plugin, name, None))
    return "unbound" if unbound else "function"


def _covered_mark(plugin: Any, name: str) -> dict[str, Any] | None:
    """The marks that `@sea.hookimpl` left on a `classmethod` or `staticmethod` object, where pluggy does not look."""
    found = inspect.getattr_static(plugin, name, None)
    if not isinstance(found, classmethod | staticmethod):
        return None
    below: Any = found.__func__
    marks = vars(found).get(f"{PROJECT}_impl")
    return None if not isinstance(marks, dict) or f"{PROJECT}_impl" in vars(below) else marks

"""Whether a plugin's hook functions fit the specifications; the same rules for a loaded object and for source text."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Any

from sea_toolkit import hookspecs
from sea_toolkit.errors import did_you_mean
from sea_toolkit.hookspecs import PROJECT, SEA_API

SIGNATURES: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if name.startswith("sea_") and inspect.isfunction(function)
}
"""Hook name to the argument names of its specification."""


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


def error_in(hook: Hook) -> str | None:
    """Why this marked function cannot be registered, or None."""
    if hook.hook not in SIGNATURES:
        return None if hook.optional else f"there is no hook {hook.hook!r}: {did_you_mean(hook.hook, SIGNATURES)}"
    expected = f"expected: def {hook.function}({', '.join(SIGNATURES[hook.hook])})"
    if hook.wrapper:
        return f"{hook.function} is a hook wrapper, but each plugin is called by itself; {expected}"
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
            marks = getattr(function, f"{PROJECT}_impl", None)
            routine = inspect.isroutine(function)
        except Exception:  # a property that raises cannot be a hook
            continue
        if not routine or not (isinstance(marks, dict) or name.startswith("sea_")):
            continue
        parameters = inspect.signature(function).parameters.values()
        marks = marks if isinstance(marks, dict) else None
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
            )
        )
    return hooks

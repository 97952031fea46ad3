"""Loading one plugin, with no effect until all of it has succeeded."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sea_toolkit.errors import PluginError
from sea_toolkit.hookspecs import SEA_API
from sea_toolkit.registry import hookcheck
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.registry.docstrings import first_line, full_doc
from sea_toolkit.registry.isolation import Isolated
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.recipe_file import FILE
from sea_toolkit.registry.records import KINDS, PluginRecord
from sea_toolkit.registry.signatures import check_signature, signature_warnings

log = logging.getLogger("sea_toolkit.plugins")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FILE = re.compile(rf"[A-Za-z_][\w.]*:[\w.-]+(/[\w.-]+)*{re.escape(FILE)}")


class RefusedError(PluginError):
    """The plugin was made for another `sea_api`."""


@dataclass
class Staged:
    """A plugin that has passed every check, and what it wants to register."""

    plugin: Any
    hooks: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def stage(record: PluginRecord, load: Callable[[], Any]) -> Staged:
    """Import a plugin, check it and collect what it registers.

    Args:
        record: the plugin's record; gets a warning of what its code changed for the whole process.
        load: returns the plugin object (imports it).

    Raises:
        AttributedError: something is wrong with it; its cause is a RefusedError if it states another `sea_api`.
    """
    with attribute_errors_to(record.owner), Isolated(record):
        staged = Staged(load())
        refusal = hookcheck.api_error(getattr(staged.plugin, "sea_api", SEA_API))
        if refusal:
            raise RefusedError(refusal)
        hooks = hookcheck.hooks_of(staged.plugin)
        for error in filter(None, (hookcheck.error_in(hook) for hook in hooks if hook.marked)):
            raise PluginError(error)
    staged.warnings += filter(None, (hookcheck.warning_in(hook) for hook in hooks))
    staged.hooks = sorted({hook.hook for hook in hooks if hook.marked and hook.hook in hookcheck.SIGNATURES})
    if not staged.hooks:
        staged.warnings.append("has no function marked with @sea.hookimpl, so it adds nothing")
    functions = {hook.hook: hook.function for hook in hooks if hook.marked}
    for kind, hook_name in KINDS.items():
        if hook_name in functions:
            function = getattr(staged.plugin, functions[hook_name])
            registrar, before = Registrar(kind, record, staged.items), len(staged.items)
            with attribute_errors_to(record.owner.with_code_of(function), f"in {hook_name}"), Isolated(record):
                returned = call_hook(record, hook_name, function, register=registrar)
                registrar.close()
            if returned is not None:
                staged.warnings.append(
                    f"{hook_name} returned a {type(returned).__name__}, which nothing reads: it has to call register(…)"
                )
            if len(staged.items) == before:
                staged.warnings.append(f"{hook_name} registered nothing")
    return staged


def call_hook(record: PluginRecord, hook: str, function: Callable[..., Any], **arguments: Any) -> Any:
    """Call a hook function with those of the arguments that it takes.

    Raises:
        PluginError: it returned a coroutine or a generator, so that nothing of it was run.
    """
    log.debug("%s of %s", hook, record.label)
    taken = inspect.signature(function).parameters
    returned = function(**{name: value for name, value in arguments.items() if name in taken})
    if inspect.isawaitable(returned) or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        if inspect.iscoroutine(returned):
            returned.close()  # or Python warns that nobody has awaited it
        raise PluginError(
            f"{hook} returned a {type(returned).__name__}, and hooks are called without waiting",
            expected="a plain function that does its work when it is called",
        )
    return returned


class Registrar:
    """The `register` callback of one hook of one plugin.

    @register("name")                 # decorates a function or a class
    register("name", function)
    register("name", target="package.module:attribute", summary="One line.")
    register("name", target="package:name.toml", summary="One line.")          # of a recipe
    """

    def __init__(self, kind: str, record: PluginRecord, items: list[Item]) -> None:
        self._kind, self._record, self._items = kind, record, items
        self._pending: list[str] = []
        self._closed = False

    def __call__(self, name: Any, function: Any = None, *, target: Any = None, summary: Any = None) -> Any:
        """Register `function`, or what `target` names, or the decorated object.

        Raises:
            PluginError: the name or the object cannot be registered.
        """
        self._check_name(name)
        if not isinstance(summary, str | None):
            raise PluginError(f"{name!r} has the summary {summary!r}", expected="a line of text")
        if target is not None:
            if function is not None or not (isinstance(target, str) and self._is_reference(target)):
                forms = ["target='package.module:attribute'"]
                forms += [f"target='package:name{FILE}'"] if self._kind == "recipe" else []
                raise PluginError(f"{name!r} has the target {target!r}", expected=" or ".join(forms))
            return self._add(name, target, summary)
        if function is not None:
            return self._add(name, function, summary)
        self._pending.append(name)

        def decorator(decorated: Any) -> Any:
            self._add(name, decorated, summary)
            self._pending.remove(name)
            return decorated

        return decorator

    def close(self) -> None:
        """Check the registrations after the hook has returned.

        Raises:
            PluginError: a `register("name")` was given nothing to register.
        """
        self._closed = True
        if self._pending:
            raise PluginError(
                f"register({self._pending[0]!r}) got nothing to register",
                expected=f'@register("{self._pending[0]}") above a function or class, or a target=',
            )

    def _is_reference(self, target: str) -> bool:
        is_file = self._kind == "recipe" and _FILE.fullmatch(target) is not None
        return is_file or _REFERENCE.fullmatch(target) is not None

    def _check_name(self, name: Any) -> None:
        if self._closed:
            late = f"register({name!r}) was called after {KINDS[self._kind]} had returned, so it registers nothing"
            self._record.warn(late)  # nobody may see the error: a thread of the plugin's own has called
            raise PluginError(late)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(
                f"register got the name {name!r}",
                expected='letters, digits, "-", "_" and ".", as in @register("my-energy")',
            )

    def _add(self, name: str, reference: Any, summary: str | None) -> Any:
        if any(item.name == name and item.kind == self._kind for item in self._items):
            raise PluginError(f"{self._kind} {name!r} is registered twice", expected="one object for each name")
        if not isinstance(reference, str):
            check_signature(reference, self._kind)
            for warning in signature_warnings(self._kind, name, reference):
                self._record.warn(warning)
            summary = summary or first_line(full_doc(reference))
        self._items.append(Item(self._kind, name, summary or "", self._record, reference))
        return reference

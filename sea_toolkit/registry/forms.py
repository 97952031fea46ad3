"""What the core passes to a registered callable of each kind, and which names its options cannot have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

from sea_toolkit.errors import PluginError

BATCH = ("prompts", "texts", "completions")
SINGLE = ("prompt", "text", "completion")
"""Words for what an energy of texts gets: all of them at once, or one after the other; in any order, passed by name."""

FUNCTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "energy": (("response",), ("prompts", "texts"), ("prompt", "text")),
    "relaxation": (("logits",), ("logits", "noise"), ("points", "space"), ("points", "space", "noise")),
    "schedule": (("progress", "step"),),
    "initializer": (("problem", "noise"), ("problem", "noise", "keep_cache")),
    "recipe": ((),),
    "engine": (("job", "tell"),),
}
"""Kind to the names of the parameters that the core fills, in their order; kinds without an entry are classes."""

METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "energy": {"bind": ("context",)},
    "schedule": {"at": ("progress", "step"), "observe": ("seen",), "state": (), "load_state": ("state",)},
    "sampler": {
        "init": ("problem", "noise"),
        "step": ("problem", "state", "noise"),
        "current": ("problem", "state"),
    },
    "initializer": {"write": ("problem", "noise", "keep_cache")},
    "model": {"find": (), "pull": ("progress",), "remove": ()},
}
"""Kind to the methods that the core calls on an instance of a registered class, with what it passes by position; a kind
without an entry has no classes."""

BASES = {
    "sampler": ("sea_toolkit.samplers.base", "Sampler"),
    "initializer": ("sea_toolkit.problem.initializer", "Initializer"),
    "model": ("sea_toolkit.models.named", "NamedModel"),
}
"""Kind to module and name of the class that its classes derive from: a name, since rooms above are not imported."""

CORE_FILLED = frozenset(("response", "prompts", "texts", "logits", "noise", "progress", "step", "problem", "context"))
"""Names that the core passes by position; as keyword-only parameters they would never get a value."""


def core_names(kind: str) -> frozenset[str]:
    """Names of parameters that are no options of a function of this kind, even with a default."""
    return CORE_FILLED | {name for form in FUNCTIONS.get(kind, ()) for name in form}


RESERVED: dict[str, frozenset[str]] = {
    "energy": frozenset({"name", "weight", "active", "scale", "want", "maximin", "label", "compass"}),
    "sampler": frozenset({"name", "chains", "steps", "budget"}),
    "relaxation": frozenset({"name", "top_k"}),
    "initializer": frozenset({"name"}),
    "schedule": frozenset({"schedule"}),
    "recipe": frozenset({"name"}),
    "engine": frozenset({"name"}),
}
"""Kind to the keys that the recipe keeps for itself in a table of that kind; an option of that name is never set."""

IN_CONSTRAINTS = frozenset({"max", "method", "min"})
"""What it keeps besides where an energy is a constraint."""


def refuse_form(kind: str, name: str, parameters: Sequence[Parameter], of_class: bool) -> None:
    """Refuse a callable that the core could not call, or that has an option no recipe can set.

    Args:
        kind: a key of `KINDS`.
        name: of the callable, for messages.
        parameters: of the function, or of the class's constructor.
        of_class: it is a class.

    Raises:
        PluginError: with the right signature.
    """
    options = [p.name for p in parameters if of_class or p.kind is Parameter.KEYWORD_ONLY]
    for option in options:
        if option in RESERVED.get(kind, ()):
            raise PluginError(
                f"option {option!r} of {name} can never be set: the recipe keeps that key for itself in the table of "
                f"{_a(kind)}",
                expected=f"another name than {', '.join(sorted(RESERVED[kind]))}",
            )
    if of_class:
        if kind not in METHODS:
            raise PluginError(f"{name} is a class, and {_a(kind)} is a function")
        return
    if kind not in FUNCTIONS:
        raise PluginError(f"{name} is no class", expected=f"a class derived from sea_toolkit.{BASES[kind][1]}")
    filled = [p for p in parameters if p.kind is not Parameter.KEYWORD_ONLY]
    if not _fits(kind, tuple(p.name for p in filled)):
        raise PluginError(
            f"{name} takes ({', '.join(p.name for p in filled)}) before its options, which is no {kind}'s signature",
            expected=" or ".join(
                f"{name.removesuffix('()')}({', '.join([*form, '*', '…'])})" for form in FUNCTIONS[kind]
            ),
            hint="the parameters that the core fills have these names; options follow after a `*`",
        )
    for p in filled[1:] if kind == "relaxation" else ():
        if p.kind is Parameter.POSITIONAL_ONLY:
            raise PluginError(f"{p.name!r} of {name} is passed by name, and stands before the `/`")


def _fits(kind: str, names: tuple[str, ...]) -> bool:
    """Whether the core can fill parameters of these names."""
    if kind in ("schedule", "initializer"):  # by position: an unused one may have an underscore
        names = tuple(name.removeprefix("_") for name in names)
    if names in FUNCTIONS[kind]:
        return True
    of_texts = len(set(names)) == len(names) and any(set(names) <= set(words) for words in (BATCH, SINGLE))
    return kind == "energy" and of_texts and bool({*BATCH[1:], *SINGLE[1:]} & set(names))


def constraint_warnings(kind: str, name: str, options: Sequence[str]) -> list[str]:
    """Words on options that cannot be set where the energy is a constraint."""
    taken = sorted(IN_CONSTRAINTS & set(options)) if kind == "energy" else []
    return [
        f"option {option!r} of energy {name!r} cannot be set where it is a constraint: the recipe keeps that key there"
        for option in taken
    ]


def refuse_methods(kind: str, target: type) -> None:
    """Refuse a class without the methods of its kind, or with methods that take something else.

    Raises:
        PluginError: with the method's right signature.
    """
    for method, passed in METHODS.get(kind, {}).items():
        expected = f"def {method}({', '.join(['self', *passed])})"
        found = inspect.getattr_static(target, method, None)
        function = found.__func__ if isinstance(found, staticmethod | classmethod) else found
        if not callable(function):
            raise PluginError(f"class {target.__name__} has no method {method}", expected=expected)
        refuse_deferred(f"{method} of class {target.__name__}", function)
        itself = () if isinstance(found, staticmethod) else (None,)
        try:
            inspect.signature(function).bind(*itself, *passed)
        except TypeError:
            raise PluginError(
                f"{method} of class {target.__name__} takes {inspect.signature(function)}", expected=expected
            ) from None
        except ValueError:  # no readable signature
            continue


def refuse_base(kind: str, target: type) -> None:
    """Refuse a class that does not derive from the base of its kind, or of which no instance can be made.

    Raises:
        PluginError: with the base's name.
    """
    module, base = BASES.get(kind, ("", ""))
    if base and not any((c.__module__, c.__qualname__) == (module, base) for c in target.__mro__):
        raise PluginError(f"class {target.__name__} is no {kind}", expected=f"a class derived from sea_toolkit.{base}")
    if inspect.isabstract(target):
        raise PluginError(f"class {target.__name__} is abstract", expected="a class that derives from it")


def refuse_deferred(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that returns a coroutine or a generator before any of its lines has run.

    Raises:
        PluginError: with what it is.
    """
    waits = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if waits or inspect.isgeneratorfunction(function):
        raise PluginError(
            f"{name} is {'asynchronous' if waits else 'a generator'}, and it is called without waiting",
            expected="a plain function that returns its result",
        )


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"

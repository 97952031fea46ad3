"""What the hub knows: one record for each plugin, one item for each name that a plugin registers."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sea_toolkit.errors import PluginError, RecipeError, SeaError
from sea_toolkit.registry import docstrings, options

CORE = "sea-toolkit"
"""The distribution that the built-in items belong to."""

KINDS: dict[str, str] = {
    "energy": "sea_register_energies",
    "relaxation": "sea_register_relaxations",
    "schedule": "sea_register_schedules",
    "sampler": "sea_register_samplers",
    "initializer": "sea_register_initializers",
    "model": "sea_register_models",
}
"""Item kind to the hook that registers it."""

Status = Literal["built-in", "ok", "not loaded", "broken", "refused"]


@dataclass(eq=False)
class PluginRecord:
    """One plugin and how it fares.

    `offers` maps kind to name to summary. `checked` says where the state comes from: "built-in", "loaded" and a
    time, or "static" (a look at the source without importing it). "refused" is a plugin made for another
    `sea_api`. `single`: not from an installed distribution but a file or an object that the user gave.
    """

    name: str
    distribution: str
    version: str
    value: str
    status: Status = "not loaded"
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    offers: dict[str, dict[str, str]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=list)
    checked: str | None = None
    file: str | None = None
    single: bool = False

    @property
    def key(self) -> str:
        """`distribution:name`, unique in a hub even if two distributions call their entry point alike."""
        return f"{self.distribution}:{self.name}"

    @property
    def label(self) -> str:
        """For messages."""
        return f"plugin {self.name!r} of {self.distribution} {self.version}"

    @property
    def provides(self) -> dict[str, list[str]]:
        """Kind to the names of that kind."""
        return {kind: sorted(names) for kind, names in self.offers.items()}

    @property
    def faulty(self) -> bool:
        """Broken, or refused for its API version."""
        return self.status in ("broken", "refused")

    def fail(self, error: str, status: Status = "broken") -> None:
        """Note a failure; nothing that the plugin offered counts any longer."""
        self.status, self.error, self.hooks = status, error, []

    def warn(self, text: str) -> None:
        """Note something legal but suspicious, once."""
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(eq=False)
class Item:
    """A registered name: an energy, a relaxation, a schedule, a sampler, an initializer or a model.

    `reference` is the callable itself or `"package.module:attribute"`, imported at first use.
    """

    kind: str
    name: str
    summary: str
    record: PluginRecord
    reference: Any

    @property
    def distribution(self) -> str:
        """The distribution that it comes from."""
        return self.record.distribution

    @property
    def version(self) -> str:
        """The version of that distribution."""
        return self.record.version

    @property
    def plugin(self) -> str:
        """The name of the plugin's record."""
        return self.record.name

    @property
    def qualified(self) -> str:
        """The name that always works: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def owner(self) -> str:
        """For messages: which plugin and distribution this comes from."""
        if self.distribution == CORE:
            return f"{self.kind} {self.name!r} (built-in)"
        return f"{self.kind} {self.name!r} ({self.record.label})"

    @functools.cached_property
    def target(self) -> Any:
        """The registered callable.

        Raises:
            PluginError: the module or attribute cannot be imported, or is not configurable.
        """
        if not isinstance(self.reference, str):
            return self.reference
        with blame(f"{self.owner} cannot be imported from {self.reference}"):
            module, _, attribute = self.reference.partition(":")
            target = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
            options.check_signature(target)
        return target

    @property
    def options(self) -> list[options.Option]:
        """What a recipe may set, in the order of the signature."""
        with blame(self.owner):
            return options.options_of(self.target, self.kind)

    @property
    def doc(self) -> str:
        """The whole docstring."""
        return docstrings.full_doc(self.target)

    def build(self, given: Mapping[str, Any] | None = None, where: str = "") -> Any:
        """Check `given` and bind it: an instance of a class, or a `functools.partial` of a function.

        The partial's `keywords` hold every option, defaults included; values with an `.at()` are schedules.

        Args:
            given: option name to value.
            where: the place in the recipe, for messages, such as `energies[1] (reward)`.

        Raises:
            RecipeError: the options are wrong.
            PluginError: the plugin's code failed.
        """
        where = where or f"{self.kind} {self.name!r}"
        target = self.target
        with blame(self.owner, user_errors_pass=True):
            bound = options.checked_options(target, self.kind, given or {}, where)
        if not inspect.isclass(target):
            return functools.partial(target, **bound)
        try:
            with blame(f"{self.owner} cannot be made", user_errors_pass=True):
                return target(**bound)
        except PluginError as error:
            if isinstance(error.__cause__, TypeError | ValueError):  # how a constructor refuses a value
                raise RecipeError(f"{where}: {error.__cause__}", hint=f"sea-toolkit describe {self.name}") from error
            raise


def normalize(distribution: str) -> str:
    """The spelling of a distribution's name that PEP 503 compares by."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@contextlib.contextmanager
def blame(what: str, *, user_errors_pass: bool = False) -> Iterator[None]:
    """Run a plugin's code: its failure, `SystemExit` included, becomes a `PluginError` that starts with `what`.

    What it prints goes to stderr, so that stdout stays the caller's.

    Args:
        what: the beginning of the message; names the plugin.
        user_errors_pass: let a `SeaError` that is not a `PluginError` pass unchanged: it is about the user's input.

    Raises:
        PluginError: something was raised; `KeyboardInterrupt` passes.
    """
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except SeaError as error:
            if user_errors_pass and not isinstance(error, PluginError):
                raise
            raise PluginError(f"{what}: {error.got}", expected=error.expected, hint=error.hint) from error
        except BaseException as error:
            raise PluginError(f"{what}: {cause_of(error)}") from error


def cause_of(error: BaseException) -> str:
    """Type, message and, outside sea_toolkit, the file and line that raised."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be printed)"
    head = f"{type(error).__name__}: {text}" if text else type(error).__name__
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith("<frozen") and "importlib" not in name and not name.startswith(_HERE):
            place = f" ({name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return head if isinstance(error, SyntaxError) else head + place


_HERE = __file__.rpartition("records.py")[0]

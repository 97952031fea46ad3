"""A registered name and the callable that it stands for."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry import docstrings
from sea_toolkit.registry.blame import HERE, Owner, attribute_errors_to
from sea_toolkit.registry.isolation import Isolated
from sea_toolkit.registry.options import Option, options_of
from sea_toolkit.registry.recipe_file import FILE, packaged
from sea_toolkit.registry.records import CORE, PluginRecord
from sea_toolkit.registry.signatures import check_signature

if TYPE_CHECKING:
    from sea_toolkit.registry.option_model import OptionModel


@dataclass(eq=False)
class Item:
    """A registered name: an energy, a relaxation, a schedule, a sampler, an initializer, a model, a recipe, an engine.

    `reference` is the callable itself or `"package.module:attribute"`, imported at first use; of a recipe also
    `"package:file.toml"`, read at first use.
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
    def owner(self) -> Owner:
        """Which plugin and distribution this comes from: for messages, and to tell whose line it was that failed."""
        if self.distribution == CORE:
            return Owner(f"{self.kind} {self.name!r} (built-in)", frozenset([HERE]))
        owner = Owner(f"{self.kind} {self.name!r} ({self.record.label})", self.record.owner.code)
        target = vars(self).get("target", self.reference)
        if isinstance(target, str):  # not imported yet
            return Owner(owner.label, owner.code | {target.partition(":")[0].partition(".")[0]})
        return owner.with_code_of(target)

    @functools.cached_property
    def target(self) -> Any:
        """The registered callable.

        Raises:
            PluginError: the module, the attribute or the file cannot be imported or read, or is not configurable.
        """
        if not isinstance(self.reference, str):
            return self.reference
        with attribute_errors_to(self.owner, f"cannot be imported from {self.reference}"), Isolated(self.record):
            module, _, attribute = self.reference.partition(":")
            if self.kind == "recipe" and attribute.endswith(FILE):
                return packaged(module, attribute)
            target = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
            check_signature(target, self.kind)
        return target

    @functools.cached_property
    def options(self) -> list[Option]:
        """What a recipe may set, in the order of the signature."""
        with attribute_errors_to(self.owner):
            return options_of(self.target, self.kind)

    @functools.cached_property
    def option_model(self) -> OptionModel:
        """The options as one pydantic model, which is imported here and not for a list of plugins.

        Raises:
            PluginError: pydantic does not support an annotation.
        """
        from sea_toolkit.registry.option_model import OptionModel

        with attribute_errors_to(self.owner):
            return OptionModel(self.options)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the table of options."""
        dialect = "https://json-schema.org/draft/2020-12/schema"
        return {"$schema": dialect, **self.option_model.schema(), "title": f"options of {self.qualified}"}

    @property
    def doc(self) -> str:
        """The whole docstring."""
        return docstrings.full_doc(self.target)

    @property
    def prose(self) -> str:
        """The docstring without its sections on arguments and errors, one line for each paragraph."""
        return docstrings.prose(self.target)

    def build(self, values: Mapping[str, Any] | None = None, where: str = "") -> Any:
        """Check the options and bind them: an instance of a class, or a `functools.partial` of a function.

        The partial's `keywords` hold every option, defaults included; values with an `.at()` are schedules.

        Args:
            values: option name to value.
            where: the place in the recipe, for messages, such as `energies[1] (reward)`.

        Raises:
            RecipeError: the options are wrong.
            PluginError: the plugin's code failed.
        """
        where = where or f"{self.kind} {self.name!r}"
        with attribute_errors_to(self.owner, user_errors_pass=True):
            bound = self.option_model.check(values or {}, where)
        if not inspect.isclass(self.target):
            return functools.partial(self.target, **bound)
        try:
            with attribute_errors_to(self.owner, "cannot be made", user_errors_pass=True):
                return self.target(**bound)
        except PluginError as error:
            if isinstance(error.__cause__, TypeError | ValueError):  # how a constructor refuses a value
                raise RecipeError(f"{where}: {error.__cause__}", hint=f"sea-toolkit describe {self.name}") from error
            raise

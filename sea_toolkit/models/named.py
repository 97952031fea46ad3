"""The base class of named models: what each states, and what it can be asked. Nothing here imports torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from sea_toolkit.registry.declared import check_declared
from sea_toolkit.util.progress import Progress, silent


class NamedModel(ABC):
    """A policy or a reward model under a name of the catalog; registered as a class without required arguments.

    What is missing or misspelt is an error when the class is made.

    Attributes:
        role: the model is refused in the other role.
        license: of the weights.
        megabytes: on disk.
        policy: of a reward model: the catalog name of the policy it was made for, or None for any.
        in_package: its files are part of an installed package, so that there is nothing to download or to remove.
    """

    role: Literal["policy", "reward"]
    license: Annotated[str, Field(min_length=1)]
    megabytes: Annotated[float, Field(gt=0)]
    policy: str | None = None
    in_package: bool = False

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        check_declared(cls, NamedModel, ("role", "license", "megabytes", "find", "pull", "remove"))

    @property
    def folder(self) -> Path | None:
        """Where its copy in the cache is or would be; None if it is kept in no cache."""
        return None

    @abstractmethod
    def find(self) -> Path | None:
        """Where it is on this machine, or None: a folder of a transformers model, or a probe file. No network."""

    @abstractmethod
    def pull(self, progress: Progress = silent) -> Path:
        """Get it, unless it is here already, and return what `find` then returns.

        Raises:
            ModelError: it cannot be had.
        """

    @abstractmethod
    def remove(self) -> bool:
        """Delete the copy in the cache; whether there was one."""

    def verify(self, progress: Progress = silent) -> bool:
        """Like `find`, but with everything that can be checked, such as hashes; False if it is not here.

        Raises:
            ModelError: it is here and damaged.
        """
        return self.find() is not None

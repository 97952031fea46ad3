"""A named model as the toolkit asks it: every call is attributed to its plugin, and what it answers is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

from sea_toolkit.models.named import NamedModel
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return
from sea_toolkit.util.progress import Progress, silent


class CheckedModel(NamedModel):
    """Asks a named model.

    Args:
        model: what is asked.
        owner: whose code it is.

    Raises:
        PluginError: the model fails, or answers something else than it should; from every attribute and method.
    """

    def __init__(self, model: NamedModel, owner: Owner) -> None:
        self._model, self._owner = model, owner

    @property
    def role(self) -> Literal["policy", "reward"]:  # type: ignore[override]  # these are values in the base class
        role: Literal["policy", "reward"] = self._ask("role", lambda: self._model.role, str)
        if role not in ("policy", "reward"):
            raise wrong_return(self._owner, f"its role is {role!r}", expected="'policy' or 'reward'")
        return role

    @property
    def license(self) -> str:  # type: ignore[override]
        return str(self._ask("license", lambda: self._model.license, str))

    @property
    def megabytes(self) -> float:  # type: ignore[override]
        return float(self._ask("megabytes", lambda: self._model.megabytes, int | float))

    @property
    def policy(self) -> str | None:  # type: ignore[override]
        name: str | None = self._ask("policy", lambda: self._model.policy, str | NoneType)
        return name

    @property
    def in_package(self) -> bool:  # type: ignore[override]
        return bool(self._ask("in_package", lambda: self._model.in_package, bool))

    @property
    def folder(self) -> Path | None:
        folder: Path | None = self._ask("folder", lambda: self._model.folder, Path | NoneType)
        return folder

    def find(self) -> Path | None:
        path: Path | None = self._ask("find", self._model.find, Path | NoneType)
        return path

    def pull(self, progress: Progress = silent) -> Path:
        path: Path = self._ask("pull", lambda: self._model.pull(progress), Path)
        return path

    def remove(self) -> bool:
        return bool(self._ask("remove", self._model.remove, bool))

    def verify(self, progress: Progress = silent) -> bool:
        return bool(self._ask("verify", lambda: self._model.verify(progress), bool))

    def _ask(self, name: str, call: Callable[[], Any], kind: type | UnionType) -> Any:
        with attribute_errors_to(self._owner, f"failed in {name}", user_errors_pass=True):
            answer = call()
        if not isinstance(answer, kind):
            expected = str(kind.__name__ if isinstance(kind, type) else kind).replace("pathlib.", "")
            raise wrong_return(self._owner, f"{name} gave {answer!r}", expected=expected)
        return answer

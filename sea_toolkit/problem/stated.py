"""What an energy states of itself, before and after it is bound: checked as soon as it can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from sea_toolkit.problem.columns import Columns
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return

if TYPE_CHECKING:
    from sea_toolkit.problem.energy import BoundEnergy, Energy


def check_statements(energy: Energy, owner: Owner | str) -> None:
    """Check the attributes of an instance: a constructor or a property may have set them.

    Fingerprint and columns are left alone: they may be those of code which the user has not allowed yet (`check_code`).

    Raises:
        PluginError: one cannot be read, or is of another type than `Energy` says.
    """
    with attribute_errors_to(owner, "failed to say what it is", user_errors_pass=True):
        values: dict[str, tuple[Any, Any, str]] = {
            "differentiable": (energy.differentiable, bool | NoneType, "True, False or None"),
            "joint": (energy.joint, bool, "True or False"),
            "tells_early": (energy.tells_early, bool, "True or False"),
            "label": (energy.label, str | NoneType, "a text or None"),
            "reward_model": (energy.reward_model, str | Sequence | NoneType, "a text, several or None"),
            "code": (energy.code, Sequence, "a list of texts"),
            "servers": (energy.servers, Sequence, "a list of texts"),
        }
    _check(values, owner, "")


def check_code(energy: Energy, owner: Owner | str) -> None:
    """Check what is stated of the code that an energy runs, once that code is allowed: to read it may be to import it.

    Raises:
        PluginError: it cannot be read, or is of another type than `Energy` says.
    """
    with attribute_errors_to(owner, "failed to say what it is", user_errors_pass=True):
        values: dict[str, tuple[Any, Any, str]] = {
            "fingerprint": (energy.fingerprint, str | NoneType, "a text or None"),
            "columns": (energy.columns, Columns, "sea_toolkit.Columns(…)"),
        }
    _check(values, owner, "")


def check_bound(bound: BoundEnergy, owner: Owner | str) -> None:
    """Check the fields of what `bind` returned.

    Raises:
        PluginError: one is of another type than `BoundEnergy` says.
    """
    values: dict[str, tuple[Any, Any, str]] = {
        "energy": (bound.energy, Callable | NoneType, "a function or None"),
        "score_text": (bound.score_text, Callable | NoneType, "a function or None"),
        "is_reward": (bound.is_reward, bool, "True or False"),
        "warnings": (bound.warnings, Sequence, "a list of texts"),
        "fingerprint": (bound.fingerprint, str | NoneType, "a text or None"),
        "compass": (bound.compass, Path | NoneType, "a path or None"),
    }
    _check(values, owner, "bind returned a BoundEnergy, and ")


def _check(values: dict[str, tuple[Any, Any, str]], owner: Owner | str, where: str) -> None:
    for name, (value, kind, expected) in values.items():
        # a text is a sequence of texts, one for each letter
        lines = kind is Sequence and (isinstance(value, str) or not all(isinstance(v, str) for v in _items(value)))
        if lines or not isinstance(value, kind):
            raise wrong_return(owner, f"{where}its {name} is {value!r}", expected=expected)


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) else ()

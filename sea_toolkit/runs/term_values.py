"""Values of the arguments `reward` and `energies`: pairs, weights and labels, and how messages show them."""

from __future__ import annotations

import inspect
import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.energy import Bindable
from sea_toolkit.problem.functions import name_of
from sea_toolkit.runs.measures import KEYS


def split_pair(place: str, value: Any, expected: str) -> tuple[Any, Any]:
    """Weight and term of a pair; the weight is 1 where there is none."""
    if not isinstance(value, list | tuple) or is_model_pair(value):
        return 1.0, value
    if len(value) != 2:
        raise RecipeError(f"{place} is {shown(value)}", expected=expected)
    first, second = value
    if is_number([second]) and not is_number([first]):
        raise RecipeError(f"{place} is {shown(value)}", expected="the weight first", hint=f"({second!r}, …)")
    if callable(first) or (isinstance(second, list | tuple) and not is_model_pair(second)):
        raise RecipeError(f"{place} is {shown(value)}", expected=expected, hint="a label for each of several")
    return first, second


def checked_weight(place: str, value: Any) -> Any:
    """A finite number, the table of a schedule or a column, or one that says how the term counts."""
    if isinstance(value, Mapping) and ("schedule" in value or "column" in value or set(value) <= KEYS):
        return dict(value)
    if not is_number([value]):
        hint = number_in(value) if isinstance(value, str) else None
        raise RecipeError(f"the weight of {place} is {shown(value)}", expected="a number, such as 8.0", hint=hint)
    if not math.isfinite(value):
        raise RecipeError(f"the weight of {place} is {value}", expected="a finite number")
    return float(value)


def of_pipeline(value: Any) -> Any:
    """Model and tokenizer of a pipeline for text classification; anything else as it is."""
    # who has one has imported its module; importing it for everybody else takes a second
    module = sys.modules.get("transformers.pipelines.text_classification")
    if module is not None and isinstance(value, module.TextClassificationPipeline):
        return value.model, value.tokenizer
    return value


def is_model_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], nn.Module)
        and isinstance(value[1], PreTrainedTokenizerBase)
    )


def is_number(values: Sequence[Any]) -> bool:
    """Whether it is one number, and no truth value."""
    return len(values) == 1 and isinstance(values[0], numbers.Real) and not isinstance(values[0], bool)


def number_in(text: str) -> str | None:
    try:
        return repr(float(text))
    except ValueError:
        return None


def label_of(thing: Any) -> str:
    name = type(thing[0]).__name__ if is_model_pair(thing) else name_of(thing)
    return "reward" if name in ("<lambda>", "partial") else name


def free_label(label: str, taken: Mapping[str, Any]) -> str:
    """The label, with a number where it is taken."""
    names = (f"{label}#{n}" if n > 1 else label for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def place_of(argument: str, label: Any) -> str:
    if not isinstance(label, str) or not label:
        raise RecipeError(f"{argument} has the label {label!r}", expected="a text")
    return f"{argument}[{label!r}]"


def shown(value: Any) -> str:
    """A value in a message: short, and without addresses."""
    if isinstance(value, list | tuple):
        inside = ", ".join(map(shown, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if inspect.isroutine(value) or isinstance(value, nn.Module) or callable(value) or isinstance(value, Bindable):
        return value.__name__ if isinstance(value, type) else name_of(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"

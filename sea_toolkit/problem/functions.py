"""A Python function as an energy: the names of its parameters say what it is given.

| parameters | it gets | it returns |
|---|---|---|
| `response`, or one of any other name | a `SoftResponse` | `[P, C]` |
| `prompts`, `texts` (either order; `completions` is `texts`) | N prompts and N texts | N numbers |
| `prompt`, `text` (`completion` is `text`) | one of each, N times | a number |
| `queries`, `prompts`, `labels` (OpenRLHF) | N of each, in the policy's template | N numbers or `{"rewards": …}` |

A function of texts that a user gives may have further parameters: columns of the prompts' table, as in TRL.
"""

from __future__ import annotations

import copy
import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import PluginError
from sea_toolkit.problem.columns import Columns, columns_of
from sea_toolkit.problem.function_inputs import (
    LABELS,
    QUERIES,
    TRAINING,
    as_turns,
    cells,
    queries,
    rewards_of,
)
from sea_toolkit.registry.blame import Owner, cause_of
from sea_toolkit.registry.forms import BATCH, SINGLE

if TYPE_CHECKING:
    from sea_toolkit.problem.context import Context

FORMS = "f(response), f(prompts, texts) or f(prompt, text)"
_Parameter = inspect.Parameter


class FunctionForm:
    """What a function is given, by the names of its parameters.

    Args:
        function: the function, or an object that can be called.
        options: names of further parameters that are given at each call.
        stated_by: whose parameters count, where it is not `function` itself.
        takes_columns: the further parameters of a function of texts are columns of the prompts.

    Attributes:
        reads_text: it scores texts; else it is asked about a response.
        columns: what it reads of the prompts' table.
        notes: what a person should know of what it is given in a run.

    Raises:
        PluginError: it asks for something that nothing gives, or does not read the answer.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        options: Sequence[str] = (),
        stated_by: Callable[..., Any] | None = None,
        *,
        takes_columns: bool = False,
    ) -> None:
        self.function, self.notes = function, list[str]()
        self._context: Context | None = None
        name, parameters = name_of(function), _parameters(stated_by or function, name_of(function))
        self._is_openrlhf = takes_columns and any(p.name == "queries" for p in parameters)
        known = QUERIES if self._is_openrlhf else BATCH + SINGLE
        given = [p for p in parameters if p.name in known and p.name not in options]
        self.each = bool(given) and given[0].name in SINGLE
        self.reads_text = bool(given)
        words = QUERIES if self._is_openrlhf else SINGLE if self.each else BATCH
        placed = [p for p in parameters if p.kind in (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)]
        if not given:  # a function of a response may call it anything
            given = [p for p in placed if p.name == "response"] or placed[:1]
        self._given = given
        # as TRL's own functions for conversations say it: list[list[dict[str, str]]]
        self._reads_turns = takes_columns and any("dict" in str(p.annotation) for p in given)
        others = [p for p in parameters if p not in given and p.kind not in _STARRED and p.name not in options]
        asked = [p.name for p in others if p.default is p.empty]
        has_table = takes_columns and self.reads_text
        unfilled = [n for n in asked if not has_table or n in TRAINING]
        signature_text = f"{name}({', '.join(map(str, parameters))})"
        if unfilled:
            raise PluginError(f"nothing gives {', '.join(map(repr, unfilled))} to {signature_text}", expected=FORMS)
        self._passed = Columns()
        if has_table:
            used = tuple(p.name for p in others if p.name not in asked)
            self._passed = Columns(tuple(asked), used, any(p.kind is p.VAR_KEYWORD for p in parameters))
        self.columns = replace(self._passed, used=(*self._passed.used, *LABELS)) if self._is_openrlhf else self._passed
        if self.reads_text and any(p.name not in words for p in given):
            raise PluginError(f"{signature_text} asks for one text and for all of them", expected=FORMS)
        if not given or all(p.name in ("prompts", "prompt") for p in given):
            raise PluginError(f"{signature_text} does not read the answer", expected=FORMS)
        if inspect.iscoroutinefunction(function):
            raise PluginError(f"{name} is asynchronous", expected="a function that returns its numbers")

    def in_run(self, context: Context) -> FunctionForm:
        """The same in a run, whose policy and prompts are known.

        Raises:
            RecipeError: a prompt has no column that the function needs.
        """
        form = copy.copy(self)
        form._context, name = context, name_of(self.function)
        self.columns.refuse_missing(context.prompts, f"the function {name}")
        if any(p.name == "labels" for p in self._given) and not any(map(columns_of, context.prompts)):
            form.notes = [f"{name} gets empty labels: the prompts have no column 'label'"]
        return form

    def of_response(self, response: SoftResponse, options: Mapping[str, Any]) -> Any:
        """What the function says of a response."""
        parameter = self._given[0]
        try:
            return self._call({parameter.name: response}, options)
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            if parameter.name == "response":
                raise
            raise PluginError(
                cause_of(error, Owner("").with_code_of(self.function)),
                expected=f"a function of a response, which {parameter.name!r} is",
                hint="a function of texts names its parameters (prompts, texts), or (text) for one at a time",
            ) from error

    def of_texts(self, prompts: Sequence[str], texts: Sequence[str], options: Mapping[str, Any]) -> Any:
        """What the function says of N texts as answers to N prompts.

        Raises:
            PluginError: a function of one text returned something other than a number, or one of OpenRLHF a table
                without rewards.
        """
        if self._is_openrlhf:
            assert self._context is not None
            given = queries(self._context.policy, prompts, texts)
            return rewards_of(self._call(given, {**cells(self._passed, prompts), **options}))
        if self.each:
            return [self._number(prompt, text, options) for prompt, text in zip(prompts, texts, strict=True)]
        value = self._call(self._shown(prompts, texts), {**cells(self._passed, prompts), **options})
        if isinstance(value, list) and any(p.name == "completions" for p in self._given):
            # TRL leaves a function out of the sum where it says None: it does not apply to the sample
            return [0.0 if number is None else number for number in value]
        return value

    def _number(self, prompt: str, text: str, options: Mapping[str, Any]) -> float:
        """What a function of one text says of it."""
        given = {name.removesuffix("s"): values[0] for name, values in self._shown([prompt], [text]).items()}
        row = {name: values[0] for name, values in cells(self._passed, [prompt]).items()}
        value = self._call(given, {**row, **options})
        if isinstance(value, Tensor) and value.numel() == 1:
            value = float(value)
        if not isinstance(value, numbers.Real):
            raise PluginError(f"it returned {_shown(value)} for the text {text[:80]!r}", expected="a number")
        return float(value)

    def _shown(self, prompts: Sequence[str], texts: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Prompts and answers under the names that a function may have for them."""
        if not self._reads_turns:
            return {"prompts": prompts, "texts": texts, "completions": texts}
        turns = [as_turns(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        answers = [answer for _, answer in turns]
        return {"prompts": [asked for asked, _ in turns], "texts": answers, "completions": answers}

    def _call(self, values: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        # by name where other parameters may stand between
        by_name = [p for p in self._given if p.kind is _Parameter.KEYWORD_ONLY or (options and p.kind in _NAMED)]
        by_place = [values[p.name] for p in self._given if p not in by_name]
        return self.function(*by_place, **{p.name: values[p.name] for p in by_name}, **options)


def says_texts(function: Callable[..., Any]) -> bool:
    """Whether it names all texts at once, as functions of TRL and OpenRLHF do."""
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
    return not names.isdisjoint(("texts", "completions", "queries"))


def numbers_for(value: Any, count: int) -> Tensor:
    """What a function of texts returned, as float32 `[N]`.

    Args:
        value: a sequence of N numbers, an array or a tensor.
        count: N.

    Raises:
        PluginError: it is something else.
    """
    hint = None
    try:
        if value.is_complex() if isinstance(value, Tensor) else np.iscomplexobj(value):
            raise TypeError  # torch would drop the imaginary parts
        found = torch.as_tensor(value, dtype=torch.float32)
        if found.shape == (count,) and not found.is_meta and found.layout == torch.strided:
            return found.detach()
        got = _shown(value) if found.ndim == 0 else f"numbers of shape {list(found.shape)}"
        if found.ndim == 0:
            hint = "it gets all texts at once; a function of one text names its parameters (text) or (prompt, text)"
    except (TypeError, ValueError, RuntimeError):
        got = _shown(value)
    raise PluginError(f"it returned {got} for {count} texts", expected=f"{count} numbers, one for each text", hint=hint)


def name_of(function: Any) -> str:
    """A function's own name, else that of its class."""
    return function.__name__ if inspect.isroutine(function) else type(function).__name__


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise PluginError(f"{name} does not say which parameters it has", expected=FORMS) from None


def _shown(value: Any) -> str:
    text = repr(value)
    article = "an" if type(value).__name__[0] in "aeiou" else "a"
    return (
        "None"
        if value is None
        else f"{text if len(text) <= 40 else text[:39] + '…'} ({article} {type(value).__name__})"
    )


_STARRED = (_Parameter.VAR_POSITIONAL, _Parameter.VAR_KEYWORD)
_NAMED = (_Parameter.POSITIONAL_OR_KEYWORD, _Parameter.KEYWORD_ONLY)

"""A Python function as an energy: the names of its parameters say what it is given.

| parameters | it gets | it returns |
|---|---|---|
| `response`, or one of any other name | a `SoftResponse` | `[P, C]` |
| `prompts`, `texts` (either order; `completions` is `texts`) | N prompts and N texts | N numbers |
| `prompt`, `text` (`completion` is `text`) | one of each, N times | a number |
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import PluginError
from sea_toolkit.registry.blame import Owner, cause_of
from sea_toolkit.registry.forms import BATCH, SINGLE

FORMS = "f(response), f(prompts, texts) or f(prompt, text)"
_Parameter = inspect.Parameter


class FunctionForm:
    """What a function is given, by the names of its parameters.

    Args:
        function: the function, or an object that can be called.
        options: names of further parameters that are given at each call.
        stated_by: whose parameters count, where it is not `function` itself.

    Attributes:
        reads_text: it scores texts; else it is asked about a response.

    Raises:
        PluginError: it asks for something that nothing gives, or does not read the answer.
    """

    def __init__(
        self, function: Callable[..., Any], options: Sequence[str] = (), stated_by: Callable[..., Any] | None = None
    ) -> None:
        self.function = function
        name, parameters = name_of(function), _parameters(stated_by or function, name_of(function))
        given = [p for p in parameters if p.name in BATCH + SINGLE and p.name not in options]
        self.each = bool(given) and given[0].name in SINGLE
        self.reads_text = bool(given)
        words = SINGLE if self.each else BATCH
        placed = [p for p in parameters if p.kind in (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)]
        if not given:  # a function of a response may call it anything
            given = [p for p in placed if p.name == "response"] or placed[:1]
        self._given = given
        asked = [p.name for p in parameters if p not in given and p.default is p.empty and p.kind not in _STARRED]
        unfilled = [n for n in asked if n not in options]
        signature_text = f"{name}({', '.join(map(str, parameters))})"
        if unfilled:
            raise PluginError(f"nothing gives {', '.join(map(repr, unfilled))} to {signature_text}", expected=FORMS)
        if self.reads_text and any(p.name not in words for p in given):
            raise PluginError(f"{signature_text} asks for one text and for all of them", expected=FORMS)
        if not given or all(p.name in ("prompts", "prompt") for p in given):
            raise PluginError(f"{signature_text} does not read the answer", expected=FORMS)
        if inspect.iscoroutinefunction(function):
            raise PluginError(f"{name} is asynchronous", expected="a function that returns its numbers")

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
            PluginError: a function of one text returned something other than a number.
        """
        if not self.each:
            return self._call({"prompts": prompts, "texts": texts, "completions": texts}, options)
        values = []
        for prompt, text in zip(prompts, texts, strict=True):
            value = self._call({"prompt": prompt, "text": text, "completion": text}, options)
            if isinstance(value, Tensor) and value.numel() == 1:
                value = float(value)
            if not isinstance(value, numbers.Real):
                raise PluginError(f"it returned {_shown(value)} for the text {text[:80]!r}", expected="a number")
            values.append(float(value))
        return values

    def _call(self, values: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        by_name = {p.name: values[p.name] for p in self._given if p.kind is _Parameter.KEYWORD_ONLY}
        by_place = [values[p.name] for p in self._given if p.kind is not _Parameter.KEYWORD_ONLY]
        return self.function(*by_place, **by_name, **options)


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

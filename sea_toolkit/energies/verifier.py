"""The energy `verifier`: any Python function that scores a text, if the user allows it by name."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sea_toolkit.errors import PluginError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy, bound_function
from sea_toolkit.problem.functions import FunctionForm, says_texts
from sea_toolkit.registry.allowed_code import check_name, load_code, source_fingerprint
from sea_toolkit.registry.blame import attribute_errors_to


class Verifier(Energy):
    """The negative of what a Python function says of a text: a test, a checker, a call to a service; no gradient.

    The function is `f(text)` or `f(prompt, text)` and returns a number, or a bool; higher is better. Reward functions
    of TRL, `f(prompts, completions, **columns)`, and of OpenRLHF, `f(queries, prompts, labels)`, are called as there,
    with the columns of the prompts' table. The function must be allowed by `--allow-code`, or `allow_code=` in Python,
    in the very words of the recipe: a recipe cannot allow code.

    Args:
        function: its name, `package.module:function` or `path/to/file.py:function`.
    """

    differentiable = False

    def __init__(self, *, function: str) -> None:
        self.function = check_name(function)
        self.code = [function]
        self.label = function.rpartition(":")[2]

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """The hash of the file that defines the function: a resumed run must have the same."""
        return source_fingerprint(load_code(self.function))

    @property
    def columns(self) -> Columns:  # type: ignore[override]
        """What the function reads of the prompts' table."""
        form = self._form()
        return Columns() if form is None else form.columns

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Import the function before any weights are read.

        Raises:
            PluginError: it cannot be imported or called.
        """
        load_code(self.function)

    def bind(self, context: Context) -> BoundEnergy:
        """Import the function.

        Raises:
            PluginError: it cannot be imported, or takes neither a text nor a prompt and a text.
            RecipeError: a prompt has no column that it needs.
        """
        call, form = load_code(self.function), self._form()
        if form is not None:
            bound = bound_function(form.in_run(context), is_reward=True)
            return replace(bound, fingerprint=source_fingerprint(call))
        judge = FunctionJudge(self.function, call)
        return BoundEnergy(score_text=judge.score_text, is_reward=True, fingerprint=source_fingerprint(call))

    def _form(self) -> FunctionForm | None:
        """How it is called if the names of its parameters say so; else by their number."""
        call = load_code(self.function)
        return FunctionForm(call, takes_columns=True) if says_texts(call) else None


class FunctionJudge:
    """A Python function that scores texts."""

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call, self.reads_prompt = name, call, _reads_prompt(name, call)

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """Minus the function's value for each text.

        Raises:
            PluginError: it fails, or returns something other than a number.
        """
        return [-self._value(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]

    def _value(self, prompt: str, text: str) -> float:
        with attribute_errors_to(f"the function {self.name}", f"failed on the text {text[:80]!r}"):
            value = self.call(prompt, text) if self.reads_prompt else self.call(text)
        if not isinstance(value, numbers.Real):
            raise PluginError(
                f"the function {self.name} returned a {type(value).__name__} for the text {text[:80]!r}",
                expected="a number, or True or False",
            )
        with attribute_errors_to(f"the function {self.name}", f"returned no float for the text {text[:80]!r}"):
            return float(value)


def _reads_prompt(name: str, call: Callable[..., Any]) -> bool:
    """Whether it takes a prompt and a text, by the number of arguments that it has to be given."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a function written in C may not state its parameters
        return False
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in placed if p.default is p.empty]
    unfilled = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(needed) > 2 or unfilled or not (placed or takes_any):
        raise PluginError(f"{name}{inspect.signature(call)} cannot be called", expected="f(text) or f(prompt, text)")
    return len(needed) == 2

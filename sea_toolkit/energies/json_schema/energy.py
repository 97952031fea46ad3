"""The energy `json-schema`: texts that are JSON, and what a schema asks for; graded, so that a search can climb."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from sea_toolkit.energies.json_schema.validator import CannotJudge, Validator
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.limited import Unjudged
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.text_files import read_text

CUT = re.compile(r"t(ru?)?|f(a(ls?)?)?|n(ul?)?|-|\.|[eE][+-]?")
"""What may remain of a literal or a number where the text ends."""


LONGEST = 1_000_000
"""Characters of a schema: it is checked as a whole before a run begins."""


class JsonSchema(Energy):
    """How far a text is from JSON that fits a schema, from 0 to 2.

    JSON with n violations costs `n / (n + 1)`; the beginning of JSON costs 1; other texts cost 2 less the share of them
    that could be the beginning of JSON. JSON that cannot be judged (too deep, too large, or not in half a second) costs
    2, and a note counts it.

    The text is read without white space at its ends; there is no gradient. Needs `pip install 'sea-alignment[json]'`.

    Args:
        schema: a JSON Schema: a table in the recipe, a JSON text, or the name of a file with one.

    Raises:
        RecipeError: no schema, an invalid one, or one that would never end.
        SeaError: the package jsonschema is not installed.
    """

    differentiable = False

    def __init__(self, *, schema: dict[str, Any] | str) -> None:
        self.schema = _read(schema) if isinstance(schema, str) else schema
        try:
            self.fingerprint = json.dumps(self.schema, sort_keys=True)  # of a schema in a file, too
        except (TypeError, ValueError, RecursionError) as error:
            raise RecipeError(
                f"the schema cannot be written as JSON: {error}", expected="tables, lists, texts and numbers"
            ) from error
        if len(self.fingerprint) > LONGEST:
            raise RecipeError(f"a schema of {len(self.fingerprint)} characters", expected=f"at most {LONGEST}")
        self.validator = Validator(self.schema)
        self.unjudged = Unjudged("json-schema", "2, the most")

    def bind(self, context: Context) -> BoundEnergy:
        """The energy itself: it is the same in every run."""
        return BoundEnergy(score_text=self.score_text, warnings=self.unjudged.notes, unmet=_unmet)

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """One number per text, from 0 to 2."""
        return [self._score(text.strip()) for text in texts]

    def _score(self, text: str) -> float:
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            return 2.0 - beginning(text, error) / max(1, len(text))
        except (ValueError, RecursionError):  # NaN, a number of thousands of digits, brackets without end
            return 2.0
        try:
            count = self.validator.violations(value)
        except CannotJudge:
            self.unjudged.add()
            return 2.0
        return count / (count + 1.0)


def _unmet(prompt: str, text: str, value: float) -> str:
    return "" if value <= 0 else "is no JSON" if value >= 1 else "is JSON, and does not fit the schema"


def beginning(text: str, error: json.JSONDecodeError) -> int:
    """How many characters of a text that is not JSON could be the beginning of JSON, up to the word where it breaks."""
    rest = text[error.pos :]
    if error.msg.startswith("Unterminated string") or CUT.fullmatch(rest):
        return len(text)
    # an escape like \\u12 may only be too short because the text ends there
    cut = error.msg.startswith("Invalid \\u") and re.fullmatch(r"\\?u?[0-9a-fA-F]{0,4}", rest)
    return len(text) if cut else error.pos


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _read(schema: str) -> Any:
    """A JSON text, or that of a file."""
    try:
        text = schema if schema.lstrip().startswith("{") else read_text(user_path(schema, "the file of the schema"))
        return parse_json(text)
    except OSError as error:
        raise RecipeError(
            f"cannot read the schema {schema!r}: {error.strerror or error}", expected="a file, a JSON text or a table"
        ) from error
    except ValueError as error:
        raise RecipeError(f"the schema is no JSON: {error}", expected="a JSON Schema") from error

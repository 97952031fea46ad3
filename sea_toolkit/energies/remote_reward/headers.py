"""Headers of requests, whose values come from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from sea_toolkit.errors import RecipeError

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
PREFIX = "SEA_REWARD_"
"""How the environment variables begin that a header may show to a server."""


def header_values(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with the values of environment variables in place of `$NAME`.

    A recipe is not to hold a secret, nor to choose which of the user's secrets a server is shown: each header is made
    with an environment variable, and only those whose name begins with `SEA_REWARD_` are read.

    Raises:
        RecipeError: a header without a variable, one with another name, or one that is not set.
    """
    values = {}
    for name, text in headers.items():
        variables = [a or b for a, b in _VARIABLE.findall(text)]
        others = [variable for variable in variables if not variable.startswith(PREFIX)]
        if not variables or others:
            got = f"names {', '.join(others)}" if others else "names no environment variable"
            raise RecipeError(
                f"the header {name} {got}",
                expected=f"a variable that begins with {PREFIX}: a recipe holds no secret, and chooses none",
                hint=f'headers = {{ {name} = "Bearer ${PREFIX}KEY" }}, and export {PREFIX}KEY=…',
            )
        for variable in variables:
            if not os.environ.get(variable):
                raise RecipeError(f"the header {name} needs the environment variable {variable}, which is not set")
        value = _VARIABLE.sub(lambda found: os.environ[found[1] or found[2]], text)
        if not value.isascii() or not value.isprintable():
            raise RecipeError(f"the value of the header {name} is not plain ASCII", hint="a line break at its end?")
        values[name] = value
    return values

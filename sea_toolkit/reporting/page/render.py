"""From the data of a page to its HTML: templates that escape whatever they are given."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import SeaError
from sea_toolkit.util.printable import printable
from sea_toolkit.util.version import VERSION, install_hint
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LARGEST = 1_900_000
"""Bytes of a page, about: what does not fit is left out and said to be."""


def require_report() -> None:
    """Raises: SeaError if the extra `report` is not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SeaError(
            f"a page needs {error.name}, which is not installed", hint=f"it comes with {install_hint('report')}"
        ) from error


def render(template: str, data: dict[str, Any]) -> Markup:
    """A template of this folder, filled in.

    Args:
        template: such as "run.html".
        data: its variables; texts are escaped, and their control characters shown.
    """
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(version=VERSION, **data))


def sections_that_fit(
    template: str, head: dict[str, Any], section: str, parts: Iterable[dict[str, Any]], count: int
) -> str:
    """A page with a section for each prompt, as many as there is room for.

    Args:
        template: of the page; it gets `sections`, and how many are left out as `left_out`.
        head: its other variables.
        section: template of a section.
        parts: variables of each.
        count: how many there are.
    """
    room = LARGEST - len(render(template, {**head, "sections": [], "left_out": count}).encode())
    sections: list[Markup] = []
    for part in parts:
        shown = render(section, part)
        room -= len(shown.encode())
        if room < 0:
            break
        sections.append(shown)
    return str(render(template, {**head, "sections": sections, "left_out": count - len(sections)}))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sea_toolkit.reporting.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["counted"] = counted
    return environment


def _shown(value: Any) -> Any:
    """A text without control characters, which could reorder a line; what is markup already is ours."""
    return printable(value) if type(value) is str else value


def number(value: float | None, form: str = ".3f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else minus_signs(format(value, form))


def minus_signs(numbers: str) -> str:
    """Numbers with the sign that is as wide as a plus."""
    return numbers.replace("-", "−")

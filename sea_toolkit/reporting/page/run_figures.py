"""The figures of a run's page: of one prompt, and of all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from sea_toolkit.reporting.page.steps import Course, means
from sea_toolkit.reporting.run_plot import run_figure
from sea_toolkit.reporting.svg import figure_svg

if TYPE_CHECKING:
    from markupsafe import Markup

Data = Mapping[str, Any]


def prompt_figure(course: Course, weights: Data, title: str) -> Markup | None:
    """Energies of a prompt's chains, and its terms; None where nothing moved.

    Args:
        course: of the prompt.
        weights: of its terms; none of a run that has not ended.
        title: of the figure.
    """
    lines = {f"chain {c}": one.energy for c, one in enumerate(course.chains, 1)}
    return _drawn(course.steps, lines, course.lowest, course.mean_terms(weights), bool(weights), title)


def mean_figure(data: Data) -> Markup | None:
    """Energies and terms as means over all prompts.

    Args:
        data: see `run_page`.
    """
    courses = [Course.of(data["trace"], p) for p in range(len(data["prompts"]))]
    weights = [answer["weights"] for answer in data["answers"]] or [{} for _ in courses]
    terms = [course.mean_terms(own) for course, own in zip(courses, weights, strict=True)]
    return _drawn(
        courses[0].steps,
        {"mean of the chains": means([one.energy for course in courses for one in course.chains])},
        means([course.lowest for course in courses]),
        {label: means([own[label] for own in terms if label in own]) for label in dict.fromkeys(chain(*terms))},
        bool(data["answers"]),
        f"Mean of {len(courses)} prompts: energies and terms over the steps",
    )


def _drawn(
    steps: list[int], lines: Data, best: list[float | None], terms: Data, weighted: bool, title: str
) -> Markup | None:
    from markupsafe import Markup

    if len(steps) < 2:
        return None
    axis = "weight · term, mean of chains" if weighted else "term, mean of chains"
    data = {"steps": steps, "lines": lines, "best": best, "terms": terms, "terms_title": axis}
    return Markup(figure_svg(data, run_figure, title))

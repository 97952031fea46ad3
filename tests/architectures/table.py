"""The table of architectures in docs/models.md: `python -m tests.architectures.table` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers import AutoModelForCausalLM

from sea_toolkit.lm.quiet import quiet_transformers
from tests.architectures.build import CAUSAL, small_model
from tests.architectures.trial import NOT_BUILT, OUTCOMES, Verdict, try_policy

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- made by tests/architectures/table.py -->", "<!-- end -->"


def verdict(model_type: str) -> Verdict:
    """Build a small model of the type and try it."""
    with quiet_transformers():
        try:
            model = small_model(model_type, AutoModelForCausalLM)
        except Exception as error:  # a default config that does not fit its own class, a package that is not installed
            return Verdict(NOT_BUILT, f"{type(error).__name__}: {error}")
        return try_policy(model)


def recorded() -> dict[str, str]:
    """What the page says of each type."""
    rows = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
    cells = [row.strip("|").split("|") for row in rows if row.startswith("|") and "`" in row]
    return {name.strip(" `"): outcome.strip() for outcome, names in cells for name in names.split(",")}


def table(outcomes: Mapping[str, str]) -> str:
    """The page's table."""
    rows = [
        f"| {outcome} | {', '.join(f'`{name}`' for name, is_so in sorted(outcomes.items()) if is_so == outcome)} |"
        for outcome in OUTCOMES
    ]
    return "\n".join([BEGIN, "", "| as a policy | model types |", "|---|---|", *rows, "", END])


def main() -> None:
    """Try all types and write the table."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    outcomes = {name: verdict(name).outcome for name in CAUSAL}
    PAGE.write_text(before + table(outcomes) + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()

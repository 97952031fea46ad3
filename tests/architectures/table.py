"""The tables of architectures in docs/models.md: `python -m tests.architectures.table` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoModelForCausalLM

from sea_toolkit.lm.quiet import quiet_transformers
from tests.architectures.build import CAUSAL, CLASSIFIERS, small_model
from tests.architectures.classifier_trial import EQUAL, REFUSED, TEXT_ONLY, try_reward
from tests.architectures.trial import NOT_BUILT, OUTCOMES, Verdict, try_policy

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
POLICY, REWARD = "as a policy", "as a reward"
ORDER = {POLICY: OUTCOMES, REWARD: (EQUAL, TEXT_ONLY, REFUSED, NOT_BUILT)}
BEGIN, END = "<!-- made by tests/architectures/table.py -->", "<!-- end -->"


def verdict(model_type: str) -> Verdict:
    """Build a small model of the type and try it."""
    with quiet_transformers():
        try:
            model = small_model(model_type, AutoModelForCausalLM)
        except Exception as error:  # a default config that does not fit its own class, a package that is not installed
            return Verdict(NOT_BUILT, f"{type(error).__name__}: {error}")
        return try_policy(model)


def reward_verdict(model_type: str) -> Verdict:
    """Save a small classifier of the type and try it as a reward."""
    with TemporaryDirectory() as folder:
        return try_reward(model_type, Path(folder))


def recorded(role: str) -> dict[str, str]:
    """What the page says of each type."""
    rows = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].partition(f"| {role} |")[2]
    cells = [row.strip("|").split("|") for row in rows.partition("\n\n")[0].splitlines() if "`" in row]
    return {name.strip(" `"): outcome.strip() for outcome, names in cells for name in names.split(",")}


def table(role: str, outcomes: Mapping[str, str]) -> str:
    """One of the page's tables."""
    rows = [
        f"| {outcome} | {', '.join(f'`{name}`' for name, is_so in sorted(outcomes.items()) if is_so == outcome)} |"
        for outcome in ORDER[role]
    ]
    return "\n".join([f"| {role} | model types |", "|---|---|", *rows])


def main() -> None:
    """Try all types and write the tables."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    policies = table(POLICY, {name: verdict(name).outcome for name in CAUSAL})
    rewards = table(REWARD, {name: reward_verdict(name).outcome for name in CLASSIFIERS})
    tables = "\n\n".join([BEGIN, policies, rewards, END])
    PAGE.write_text(before + tables + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()

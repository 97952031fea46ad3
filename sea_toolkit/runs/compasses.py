"""The compass of a term: from the file that the recipe names, or from one that comes with the energy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.fingerprint import tokenizer_fingerprint
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.compass import Compass
from sea_toolkit.problem.compass_file import CompassFile, CompassInfo, read_compass
from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.util.paths import user_path

NONE = "none"
"""What a recipe says in place of a file: the run begins without a compass, whatever comes with the energy."""


@dataclass(frozen=True)
class CompassChoice:
    """What a recipe says of a term's compass.

    Attributes:
        file: the one that it names.
        is_off: it wants none.
    """

    file: CompassFile | None = None
    is_off: bool = False

    @classmethod
    def of(cls, said: str | None, place: str, *, is_reference: bool) -> CompassChoice:
        """Read the file, before anything is loaded.

        Args:
            said: a path, "none", or None for what comes with the energy.
            place: where it stands.
            is_reference: the term is −log π.

        Raises:
            ModelError: there is no such file, or it is no compass.
            RecipeError: a compass of the reference, which proposals follow anyway.
        """
        if said is None or said == NONE:
            return cls(is_off=said == NONE)
        if is_reference:
            raise RecipeError(f"{place} is the reference, and has a compass", hint="leave it out")
        return cls(read_compass(user_path(said, f"{place}.compass")))

    def refuse_vocabulary(self, tokenizer: Any, label: str) -> None:
        """Refuse a compass that was made for other tokens, before any weights are read.

        Raises:
            RecipeError: its policy had another vocabulary.
        """
        if self.file is not None and self.file.info.vocabulary != tokenizer_fingerprint(tokenizer):
            raise RecipeError(
                f"{self.file.path}, the compass of {label!r}, was made for the tokens of {self.file.info.policy}, and "
                "this policy has others",
                expected="a compass made with this policy",
                hint="sea-toolkit fit-compass --model POLICY …",
            )

    def compass(self, bound: BoundEnergy, identity: str, label: str, policy: Policy, length: int) -> Compass | None:
        """The compass of a bound energy, on the policy's device; None if there is none.

        Args:
            bound: the energy, which may bring one.
            identity: see `reward_identity`.
            label: of the term.
            policy: of the run.
            length: response positions of the run.

        Raises:
            RecipeError: the recipe names the compass of another energy.
            ModelError: a file that does not fit the policy, or a damaged one.
        """
        if self.file is not None:
            self.refuse_vocabulary(policy.tokenizer, label)
            if self.file.info.reward != identity:
                raise RecipeError(
                    f"{self.file.path} is no compass of {label!r}: it was made for {self.file.info.label!r}, or for "
                    "other options or weights of it",
                    expected="a compass of this very energy",
                    hint="sea-toolkit fit-compass makes one",
                )
            return self.file.compass(policy.table, length)
        if self.is_off or bound.compass is None:
            return None
        info, compass = _kept(bound.compass, policy, length)
        return compass if info.reward == identity else None


_KEPT: WeakKeyDictionary[Policy, dict[tuple[Path, int, int], tuple[CompassInfo, Compass | None]]] = WeakKeyDictionary()


def _kept(path: Path, policy: Policy, length: int) -> tuple[CompassInfo, Compass | None]:
    """What is known of the compass that comes with an energy, and the compass itself if it is for this policy's tokens.
    It takes a product with the whole embedding, so one that was made for this policy stays with it.

    Raises:
        ModelError: a damaged file, or one of another size.
    """
    kept = _KEPT.setdefault(policy, {})
    key = path, path.stat().st_mtime_ns if path.exists() else 0, length
    if key not in kept:
        found = read_compass(path)
        fits = found.info.vocabulary == tokenizer_fingerprint(policy.tokenizer)
        kept[key] = found.info, found.compass(policy.table, length) if fits else None
    return kept[key]


USUAL = CompassChoice()
"""What comes with the energy."""

"""An energy whose options come from columns of the prompts' table: one instance for each set of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.row_selection import select_prompts
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.combined import Lines, has_gradient, of_responses, of_texts
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy, PolicyEnergy, as_bound
from sea_toolkit.problem.outlook import Foresight, Outlook, merged
from sea_toolkit.registry.blame import Owner

MOST_MODELS = 8
"""Different models that a column may name: all of them are held at once."""


class PerPrompt(Energy):
    """Each prompt's energy by its row.

    Args:
        where: the term, for messages.
        owner: of the instances.
        key: what tells the instance of a prompt.
        instances: by their keys; none as long as no prompts are known.
        columns: that the options come from.
        differentiable, joint: as the instances are, where that is known before there are any.
    """

    def __init__(
        self,
        where: str,
        owner: Owner,
        key: Callable[[str], str],
        instances: Mapping[str, Energy],
        columns: Columns,
        *,
        differentiable: bool | None,
        joint: bool,
    ) -> None:
        self.where, self.owner, self.key, self.instances = where, owner, key, instances
        each = list(instances.values())
        known = {energy.differentiable for energy in each} or {differentiable}
        self.differentiable = known.pop() if len(known) == 1 else None
        self.joint, self._own_columns = any(energy.joint for energy in each) or joint, columns
        self.tells_early = bool(each) and all(energy.tells_early for energy in each)
        self.reward_model = _several(energy.reward_model for energy in each)
        self.code = [function for energy in each for function in energy.code]
        self.servers = [server for energy in each for server in energy.servers]

    @property
    def columns(self) -> Columns:  # type: ignore[override]
        """Those that the options come from, and those that the instances read; to ask these may import their code."""
        return Columns.union([self._own_columns, *(energy.columns for energy in self.instances.values())])

    @property
    def fingerprint(self) -> str | None:  # type: ignore[override]
        """Those of all instances, with their keys."""
        known = [f"{key}: {energy.fingerprint}" for key, energy in self.instances.items() if energy.fingerprint]
        return " ".join(known) or None

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Let each instance refuse what cannot work.

        Raises:
            RecipeError: the column names more models than are held at once.
            SeaError: see `Energy.check`.
        """
        few = _FewModels(**vars(finder), where=self.where)
        for energy in self.instances.values():
            energy.check(few, tokenizer)

    def outlook(self, foresight: Foresight) -> Outlook:
        """Those of all instances; as long as there are none, their models are not known."""
        if not self.instances:
            return replace(super().outlook(foresight), models=None)
        return merged([energy.outlook(foresight) for energy in self.instances.values()])

    def bind(self, context: Context) -> BoundEnergy:
        """Bind each instance to its prompts.

        Raises:
            RecipeError: an instance is −log π itself, or one is a reward and another is none.
        """
        places: dict[str, list[int]] = {}
        for place, prompt in enumerate(context.prompts):
            places.setdefault(self.key(prompt), []).append(place)
        groups = [self._group(key, rows, context.select(rows)) for key, rows in places.items()]
        if len({group.bound.is_reward for group in groups}) > 1:
            raise RecipeError(f"{self.where}: by its column it is a reward for some prompts, and none for others")
        return _Dispatch(groups, self.key).bound()

    def _group(self, key: str, rows: list[int], context: Context) -> _Group:
        bound = as_bound(self.instances[key].bind(context), self.owner)
        if isinstance(bound, PolicyEnergy):
            raise policy_has_no_columns(self.where)
        return _Group(rows, key, context, bound)


def policy_has_no_columns(where: str) -> RecipeError:
    """The error for options of −log π that come from a column."""
    return RecipeError(
        f"{where}: an option of −log π comes from a column, and samples of the policy follow one law",
        expected="the same options for all prompts",
        hint='its weight may come from one: weight = { column = "…" }',
    )


@dataclass(frozen=True)
class _Group:
    """The prompts of one instance: their places, its key, and the instance bound to them."""

    rows: list[int]
    key: str
    context: Context
    bound: BoundEnergy


class _Dispatch:
    """Asks each instance about the responses to its own prompts."""

    def __init__(self, groups: Sequence[_Group], key: Callable[[str], str]) -> None:
        self.groups, self.key = groups, key
        self._by_key = {group.key: group.bound for group in groups}
        self._of_responses = [of_responses(group.bound, group.context) for group in groups]

    def bound(self) -> BoundEnergy:
        """All of them as one."""
        each = [group.bound for group in self.groups]
        if len(each) == 1:
            return each[0]
        soft, texts = any(b.energy is not None for b in each), all(b.score_text is not None for b in each)
        return BoundEnergy(
            energy=self.energy if soft else None,
            has_gradient=all(map(has_gradient, each)),
            score_text=self.score_text if texts else None,
            is_reward=each[0].is_reward,
            warnings=Lines([b.warnings for b in each]),
            unmet=self.unmet if any(b.unmet is not None for b in each) else None,
            fingerprint=" ".join(f"{group.key}: {group.bound.fingerprint or ''}" for group in self.groups),
        )

    def energy(self, response: SoftResponse) -> Any:
        """Of P × C responses, `[P, C]`; what a plugin returned otherwise is refused by the term."""
        device, values = response.ids.device, list[Any]()
        for group, ask in zip(self.groups, self._of_responses, strict=True):
            value: Any = ask(select_prompts(response, torch.tensor(group.rows, device=device)))
            if not isinstance(value, Tensor) or value.shape != (len(group.rows), response.shape[1]):
                return value
            values.append(value.float())
        order = torch.tensor([row for group in self.groups for row in group.rows], device=device)
        return torch.cat(values)[order.argsort()]

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """Of N texts as answers to prompts of the run."""
        places: dict[str, list[int]] = {}
        for place, prompt in enumerate(prompts):
            places.setdefault(self.key(prompt), []).append(place)
        found = torch.zeros(len(texts))
        for key, rows in places.items():
            values = of_texts(self._by_key[key], [prompts[i] for i in rows], [texts[i] for i in rows])
            found[rows] = values.float().to(found.device)
        return found

    def unmet(self, prompt: str, text: str, value: float) -> str:
        """What the text lacks of what the prompt's own instance asks for."""
        ask = self._by_key[self.key(prompt)].unmet
        return "" if ask is None else ask(prompt, text, value)


@dataclass(frozen=True)
class _FewModels(ModelFinder):
    """Finds models, and refuses to find more of them than are held at once."""

    where: str = ""
    names: set[str] = field(default_factory=set)

    def find(self, name: str, role: str) -> Any:
        self.names.add(name)
        if len(self.names) > MOST_MODELS:
            raise RecipeError(
                f"{self.where}: its column names more than {MOST_MODELS} models, which would all be held at once",
                expected=f"at most {MOST_MODELS} different ones in a run",
                hint="several runs, each with a part of the prompts (batch=, or files of their own)",
            )
        return super().find(name, role)


def _several(names: Any) -> list[str] | None:
    """The reward models of several energies, each once."""
    flat = [name for one in names if one is not None for name in ([one] if isinstance(one, str) else one)]
    return list(dict.fromkeys(flat)) or None

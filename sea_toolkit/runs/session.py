"""Plugins and models that stay loaded: recipes are composed, bound and run with them, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.events import Event
from sea_toolkit.lm.micro_batches import MicroBatches
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.allowed import NOTHING, Allowed
from sea_toolkit.registry.blame import memory_said
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.compose import Composition, compose
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.less_memory import asked_limit, with_less_memory
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.run import Run
from sea_toolkit.runs.together import ONE, refuse_shared
from sea_toolkit.util.conversation import Messages, Row
from sea_toolkit.util.halt import Halt
from sea_toolkit.util.process_wide import ONE_AT_A_TIME
from sea_toolkit.util.progress import Progress, silent


class Session:
    """What runs share: the plugins, the policy, and every other model, each loaded once.

    Whatever torch modes and defaults the caller has set, see `own_torch_state`.

    Args:
        hub: the plugins; by default all that are installed.
        policy: a model and tokenizer of one's own; else that of each recipe is loaded.
        progress: watches downloads.
        trust_remote_code: whether Python that comes with a model may run.
        memory_limit: bytes that this process may use on a device, or a text such as "4GiB"; else what the environment
            variable `SEA_MEMORY_LIMIT` says, else most of what is free.
        joins: its runs may be those of several processes, see `join_for`; else models that are to be shared out over
            some are refused.

    Raises:
        RecipeError: the limit is no amount of memory, the policy is not a `Policy`, the hub not a `PluginHub`.
    """

    def __init__(
        self,
        hub: PluginHub | None = None,
        *,
        policy: Policy | None = None,
        progress: Progress | None = None,
        trust_remote_code: bool = False,
        memory_limit: str | int | None = None,
        joins: bool = False,
    ) -> None:
        self.joins = joins
        self.memory_limit = asked_limit(memory_limit)
        if policy is not None and not isinstance(policy, Policy):
            named = isinstance(policy, str | Path)
            raise RecipeError(
                f"policy is {policy!r}" if named else f"policy is a {type(policy).__name__}",
                expected="a sea.Policy",
                hint=f"model={str(policy)!r} has it read"
                if named
                else "sea.Policy(model, tokenizer) makes one of them",
            )
        if hub is not None and not isinstance(hub, PluginHub):
            raise RecipeError(
                f"hub is a {type(hub).__name__}", expected="a sea.PluginHub, as PluginHub.discover() makes"
            )
        self.hub = hub or PluginHub.discover()
        self.finder = ModelFinder(self.hub, progress or silent, trust_remote_code)
        self.own_policy = policy
        self._loaded: tuple[PolicySpec, Policy] | None = None

    @own_torch_state()
    def compose(self, recipe: Recipe, energies: OwnEnergies | None = None, allowed: Allowed = NOTHING) -> Composition:
        """Check a recipe without loading models.

        Raises:
            RecipeError, PluginError: see `compose`.
        """
        return compose(recipe, self.hub, energies, allowed)

    def refuse_unused(self, recipe: Recipe) -> None:
        """Refuse settings of the recipe's policy that a policy of one's own would ignore.

        Raises:
            RecipeError: there are some.
        """
        if self.own_policy is not None:
            recipe.policy.refuse_beside_object()

    @property
    def loaded(self) -> Policy | None:
        """The policy that was loaded last."""
        return None if self._loaded is None else self._loaded[1]

    @own_torch_state()
    def policy(self, spec: PolicySpec, check: Callable[[Any], None] | None = None) -> Policy:
        """The policy of a recipe: the one that was given, or loaded last, where it is the same.

        Args:
            spec: which model, where and how.
            check: called with the tokenizer before the weights are read, to refuse what cannot go together.

        Raises:
            ModelError: it cannot be found, downloaded or read.
        """
        with ONE_AT_A_TIME:
            loaded = self.own_policy or (self._loaded[1] if self._loaded and self._loaded[0] == spec else None)
            if not self.joins:
                refuse_shared(Recipe(policy=spec), ONE)
            if loaded is not None:
                if check is not None:
                    check(loaded.tokenizer)
                return loaded
            self._loaded = None  # two policies at once may be too many
            policy = load_policy(spec, self.finder, check)
            self._loaded = spec, policy
            return policy

    @own_torch_state()
    def bind(
        self,
        composition: Composition,
        prompts: Sequence[str | Messages | Row],
        *,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
    ) -> Problem:
        """Load the models of a composition, and bind it to prompts.

        Raises:
            RecipeError, ModelError: see `Composition.check` and `Composition.bind`.
            OutOfMemoryError: they take more memory than there is.
        """

        def check(tokenizer: Any) -> None:
            composition.check(self.finder, tokenizer)

        composition.prompts(prompts)  # refuses them before anything is loaded
        if not self.joins:
            refuse_shared(composition.recipe, ONE)
        with memory_said("while the models are loaded"):
            policy = self.policy(composition.recipe.policy, check)
            return composition.bind(policy, self.finder, prompts, ledger, clock)

    @own_torch_state()
    def run(
        self,
        composition: Composition,
        prompts: Sequence[str | Messages | Row],
        *,
        folder: Path | None = None,
        checkpoint_every: int = 10,
        on_event: Callable[[Event], None] | None = None,
        stop_after: int | None = None,
        length: Length | None = None,
        occurrences: Sequence[int] | None = None,
        explains: bool = False,
        halt: Halt | None = None,
    ) -> Run:
        """A run of a composition on prompts, ready to be executed or resumed; the plugins that observe are loaded.

        Args:
            composition: of this session.
            prompts: P texts or conversations.
            folder, checkpoint_every, on_event, stop_after, length, occurrences, explains, halt: see `Run`.
        """
        sizes = MicroBatches(self.memory_limit)
        with sizes.active():
            problem, note = with_less_memory(
                lambda: self.bind(composition, prompts), "while the prompts were read", sizes, lambda: None
            )
        if note is not None:
            problem.run.note(note)
        sizes.look_again()
        self.hub.load_for("sea_observe")
        return Run(
            composition,
            problem,
            folder=folder,
            checkpoint_every=checkpoint_every,
            on_event=on_event,
            stop_after=stop_after,
            length=length,
            occurrences=occurrences,
            explains=explains,
            halt=halt,
            sizes=sizes,
        )

"""What a comparison and a sweep begin with: the session, the recipe and its terms, where rows are kept, who watches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.evaluation.cells import ProgressMeter, Watch
from sea_toolkit.evaluation.plans import asked_of, fingerprints
from sea_toolkit.evaluation.rows import Evaluation, evaluation_folder
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import Live, shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress
from sea_toolkit.util.run_files import read_sealed


@dataclass(frozen=True)
class EvaluationSetup:
    """An evaluation whose arguments are read, and of which nothing is loaded.

    Attributes:
        kind: a comparison or a sweep.
        session: plugins and models.
        call: the recipe, its objects, and what they may do.
        folder: where rows are kept, if anywhere.
        live: what shows loading and progress, if it is wanted.
        watch: is told of the progress.
    """

    kind: Evaluation
    session: Session
    call: Asked
    folder: Path | None
    live: Live | None
    watch: Watch | None

    @classmethod
    def of(
        cls,
        kind: Evaluation,
        recipe: RecipeSource | None,
        reward: Rewards | None,
        energies: Energies | None,
        settings: Mapping[str, Any],
        *,
        policy: Policy | None,
        hub: PluginHub | None,
        allow_code: Collection[str],
        allow_network: Collection[str],
        trust_remote_code: bool,
        out: str | Path | None,
        progress: bool | Progress,
        watch: Watch | None,
    ) -> EvaluationSetup:
        """Read what `compare` and `pareto` are called with.

        Args:
            kind: a comparison or a sweep.
            recipe, reward, energies, policy, hub, allow_code, allow_network, trust_remote_code: as for `align`.
            settings: of the recipe, by the names of the arguments; None where one was left out.
            out, progress, watch: as for `compare`.

        Raises:
            RecipeError: as `align`.
        """
        live, told = watched(progress)
        session = Session(hub, policy=policy, progress=told, trust_remote_code=trust_remote_code)
        call = Asked.of(session, recipe, reward, energies, settings, allow_code, allow_network)
        folder = None if out is None else user_path(out, "out")
        if watch is None and live is not None:
            watch = live.watching(kind.doing)
        return cls(kind, session, call, folder, live, watch)

    def compose(self, recipe: Recipe) -> Composition:
        """Check a recipe of this evaluation, without loading models.

        Raises:
            RecipeError, PluginError: see `Session.compose`.
        """
        return self.call.compose(self.session, recipe)

    @contextmanager
    def held(self) -> Iterator[dict[str, Any] | None]:
        """A block that holds the folder and shows the progress, for workers that load the models.

        It gives the versions of the rows that are there; None if there are none yet.

        Raises:
            SeaError: the folder holds something else, or is in use.
        """
        assert self.folder is not None
        path = self.folder / self.kind.plan
        with shown(self.live), evaluation_folder(self.folder, self.kind):
            yield read_sealed(path)["fixed"]["versions"] if path.exists() else None

    @contextmanager
    def loaded(self, texts: Sequence[Prompt], check: Callable[[Any], None]) -> Iterator[Policy]:
        """The policy, in a block that holds the folder and shows the progress.

        Args:
            texts: the prompts.
            check: called with the tokenizer before weights are read.

        Raises:
            RecipeError, ModelError: a prompt that is too long; see `Session.policy`.
            SeaError: the folder holds something else, or is in use.
        """
        with shown(self.live), evaluation_folder(self.folder, self.kind):
            policy = self.session.policy(self.call.recipe.policy, check)
            policy.encode(
                texts, self.call.recipe.max_new_tokens
            )  # finds a prompt that is too long now, not after hours
            self.session.hub.load_for("sea_observe")
            yield policy

    def tied_to(
        self, versions: dict[str, Any] | None, composition: Composition, texts: Sequence[Prompt], batch: int
    ) -> dict[str, Any]:
        """What every row depends on, whatever is asked: prompts, the batch, versions, objects and files."""
        return {
            "own_terms": sorted(self.call.own),
            **asked_of(texts),
            "batch": batch,
            "versions": versions,
            "terms": fingerprints(composition),
        }

    def asked(self, texts: Sequence[Prompt]) -> dict[str, Any]:
        """The recipe and the prompts as plain data for workers; `in_worker` and `asked_prompts` read it."""
        return {"recipe": self.call.recipe.model_dump(mode="json", exclude_unset=True), **asked_of(texts)}

    @classmethod
    def in_worker(
        cls, kind: Evaluation, asked: dict[str, Any], hub: PluginHub, allowed: Allowed, trust_remote_code: bool
    ) -> EvaluationSetup:
        """The setup of a worker, which keeps no rows and is watched by nobody.

        Args:
            kind: a comparison or a sweep.
            asked: as `asked` gave it.
            hub: plugins.
            allowed: what energies may run and ask.
            trust_remote_code: whether Python that comes with a model may run.

        Raises:
            RecipeError: as `align`.
        """
        return cls.of(
            kind, asked["recipe"], None, None, {}, policy=None, hub=hub, allow_code=allowed.code,
            allow_network=allowed.network, trust_remote_code=trust_remote_code, out=None, progress=False, watch=None,
        )  # fmt: skip

    def meter(self, total: float) -> ProgressMeter:
        """Counts samples, out of so many, for whoever watches."""
        return ProgressMeter(self.watch, total)

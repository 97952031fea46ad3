"""The run loop: steps until the budget is spent, observers, checkpoints, and the best text at the end."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import NumericalError, RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.blame import attribute_errors_to, cause_of, during, is_out_of_memory, out_of_memory
from sea_toolkit.runs import checkpoint
from sea_toolkit.runs.acceptance import AcceptanceCounter
from sea_toolkit.runs.adaptive_schedules import AdaptiveSchedules
from sea_toolkit.runs.archive import Archive, Archives, record
from sea_toolkit.runs.checked_sampler import CheckedSampler
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.folder import request_digest
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.manifest import manifest
from sea_toolkit.runs.notes import Conduct, notes_on_budget
from sea_toolkit.runs.position import Position, Stateful
from sea_toolkit.runs.result import Interrupted, Result, build_results
from sea_toolkit.runs.rewrite import add_rewrites, rewrite
from sea_toolkit.runs.stored import write_end
from sea_toolkit.runs.trace import Trace
from sea_toolkit.samplers.base import Info
from sea_toolkit.util import run_files

ROUNDING = 1e-6
"""Samples: sums of FLOPs that are equal on paper."""


class Run:
    """One run over P prompts.

    Args:
        composition: a bound composition.
        problem: what it was bound to.
        folder: where to write, or None.
        checkpoint_every: steps between checkpoints.
        on_event: called with every `Event`, before the plugins that observe.
        stop_after: end after this many steps though more are planned (to be resumed later).
        before: prompts of earlier batches: one that is given again has a stream of its own.
        length: how long, instead of what the recipe says.

    Attributes:
        parts: everything that changes in the course of the run besides the sampler's state, by name.
    """

    def __init__(
        self,
        composition: Composition,
        problem: Problem,
        *,
        folder: Path | None = None,
        checkpoint_every: int = 10,
        on_event: Callable[[Event], None] | None = None,
        stop_after: int | None = None,
        length: Length | None = None,
        before: Sequence[str] = (),
    ) -> None:
        self.composition, self.problem, self.folder = composition, problem, folder
        self.checkpoint_every, self.on_event, self.stop_after = checkpoint_every, on_event, stop_after
        self.sampler = composition.sampler
        item = next(i for i in composition.items if i.kind == "sampler")
        self.name, self.calls = item.name, CheckedSampler(self.sampler, item.owner, problem)
        self.length = length or composition.length
        self.steps, self.budget = self.length.steps, self.length.budget
        if self.budget is not None and self.budget < problem.chains:
            chains = "a chain that starts" if problem.chains == 1 else f"{problem.chains} chains that each start"
            raise RecipeError(
                f"a budget of {self.budget:g} samples, and {chains} with one",
                expected=f"a budget of at least {problem.chains}",
                hint="a larger budget" if problem.chains == 1 else "fewer chains, or a larger budget",
            )
        self.identity = uuid.uuid4().hex
        self.request = request_digest(composition.recipe, problem.prompts)
        self.before = before
        self.noise = Noise.for_prompts(problem.prompts, composition.recipe.seed, problem.policy.device, before=before)
        self.schedules = AdaptiveSchedules(composition.reactive)
        self.archives = Archives(Archive() for _ in problem.prompts)
        self.acceptance, self.position, self.trace = AcceptanceCounter(), Position(), Trace(folder)
        self.parts: dict[str, Stateful] = {
            "noise": self.noise,
            "ledger": problem.ledger,
            "chains": problem.run,
            "schedules": self.schedules,
            "archives": self.archives,
            "acceptance": self.acceptance,
            "position": self.position,
            "trace": self.trace,
        }
        self.state: Any = None
        self.notes: list[str] = []
        self.status = "ready"
        self.weights = self.length.weights(problem.terms)
        problem.clock.budget = self.budget
        problem.ledger.begin(problem.sample_flops)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.position.step

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """Who takes part; reads all weights."""
        length = {"steps": self.steps, "budget": self.budget}
        return manifest(self.problem, self.composition, self.name) | {"run": self.request, "length": length}

    @property
    def can_resume(self) -> bool:
        """Whether the folder holds a checkpoint; a run killed before its first one starts over."""
        return self.folder is not None and (self.folder / run_files.CHECKPOINT).exists()

    @own_torch_state()
    def resume(self) -> None:
        """Go on from the folder's checkpoint: the same states, streams, counts and candidates.

        Raises:
            SeaError: there is none, or it is damaged, of another run, or of another version.
        """
        assert self.folder is not None
        self.state, states = checkpoint.load_checkpoint(
            self.folder, self.request, self.sampler.state_type, self.problem.policy.device
        )
        try:
            self._load(states)
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # with --force
            raise SeaError(
                f"the checkpoint in {self.folder} is of another version of sea_toolkit: {error!r}",
                hint="start the run again in another folder",
            ) from error

    @own_torch_state()
    def execute(self) -> list[Result]:
        """Run to the end.

        Whatever ends a run that has met a text, the best so far is kept: result and checkpoint are written, and the
        error carries the results.

        Raises:
            Interrupted: on Ctrl-C.
            SeaError: a plugin failed, memory is used up, or nothing finite was met.
            Exception: what `on_event` raises.
        """
        failure = self._attempt()
        if failure is not None and not self._has_answers:
            raise failure
        try:
            results = self._results()
        except BaseException as error:
            if failure is not None:
                raise failure from failure.__cause__  # not the other, which came of it
            if isinstance(error, SeaError):
                raise
            failure, self.status = _said(error), _status(error)
            results = self._results()
        try:
            self._write_end(results)
            self._emit("end")
        except BaseException as error:
            failure = failure or error
        if failure is None:
            return results
        if isinstance(failure, KeyboardInterrupt):
            raise Interrupted(results) from failure
        vars(failure)["results"] = results
        raise failure

    @property
    def _has_answers(self) -> bool:
        return all(a.best for a in self.archives)

    def _attempt(self) -> BaseException | None:
        """Take the steps and score the last texts; what ended the run early, once its last whole step is saved."""
        closing = False
        self.status = "done"
        try:
            self._loop()
            # before the final scoring, which a resumed run repeats at its own end
            self._checkpoint()
            closing = True
            with during("at the end of the run"):
                self._score_final_texts()
                self._rewrite()
        except BaseException as error:
            self.status = _status(error)
            if self._has_answers and not closing:
                self._save_what_is_left()
            return _said(error)
        return None

    def _save_what_is_left(self) -> None:
        """A checkpoint after a failure, which must not hide the failure by one of its own."""
        try:
            self._checkpoint()
        except Exception as error:
            self.notes.append(f"the last step could not be saved: {cause_of(error)}")

    def _loop(self) -> None:
        problem = self.problem
        if self.state is None:
            if self.folder is not None:
                run_files.write_sealed(self.folder / run_files.MANIFEST, self.manifest)
            self._set_clock()
            with during("at the start"):
                state, info = self.calls.init(self.noise)
                self._log_step(info, -1)
            self.state, self.position.scored_last_step = state, info.scored is not None
            if info.scored is not None and not bool(info.scored.same.any()):
                problem.run.note(
                    "none of the first answers is cut into the tokens that it was drawn in: -log π is that of the text "
                    "as it is read"
                )
            if all(a.starts[0].energy == float("inf") for a in self.archives) and bool(problem.stopped.all()):
                raise NumericalError(
                    "no chain has a finite energy: " + "; ".join(problem.run.incidents),
                    hint="leave out the energy that is named",
                )
        self._emit("start")
        while True:
            with during(f"before step {self.step + 1}"):
                if not self._goes_on():
                    break
            self._set_clock()
            before, spent = {name: part.state() for name, part in self.parts.items()}, problem.ledger.samples
            try:
                with during(f"in step {self.step + 1}"):
                    state, info = self.calls.step(self.state, self.noise)
                    self._log_step(info, self.step + 1)
                    self.acceptance.count(info.metrics)
                    self.schedules.tell(problem.clock, info.metrics, problem.stopped, self.archives)
                done, cost, scored = self.step + 1, problem.ledger.samples - spent, info.scored is not None
            except BaseException:
                self._undo(before)
                raise
            # no call in between: an interrupt leaves either the old step or the new one
            at, self.state = self.position, state
            at.step, at.last_cost, at.scored_last_step = done, cost, scored
            self._emit("step", info)
            if self.folder is not None and self.step % self.checkpoint_every == 0:
                self._checkpoint()
                self._emit("checkpoint")

    def _undo(self, before: dict[str, Any]) -> None:
        """The step did not happen: a resumed run takes it again, from the same streams."""
        state, self.state = self.state, None  # as long as the parts do not fit, there is nothing to be saved
        self._load(before)
        self.state = state

    def _load(self, states: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state(states[name])

    def _score_final_texts(self) -> None:
        """Score the texts of the last step, if the sampler has not."""
        problem = self.problem
        if not self.position.scored_last_step and not bool(problem.stopped.all()):
            info = Info(problem.score_as_text(self.calls.current(self.state)))
            self._record(info, self.step)
            self.trace.last_look(self.step, problem.ledger.samples, info, problem.stopped)

    def _rewrite(self) -> None:
        """Let rewrites of the answers compete, if the recipe asks for them."""
        recipe, texts = self.composition.recipe, [a.best[0].text for a in self.archives]
        scored = (
            None if recipe.rewrite is None else rewrite(self.problem, texts, recipe.rewrite, recipe.seed, self.before)
        )
        if scored is not None:
            add_rewrites(self.archives, scored, self.step, self.weights)
            self.trace.rewrites(self.step, self.problem.ledger.samples, scored)

    def _goes_on(self) -> bool:
        if self.stop_after is not None and self.step >= self.stop_after:
            return False
        if bool(self.problem.stopped.all()):
            return False
        if self.calls.finished(self.state):
            return False
        if self.steps is not None and self.step >= self.steps:
            return False
        # answers that end early are cheaper than a sample: a sampler with its own count decides alone
        if self.budget is None or self.sampler.counts_budget:
            return True
        return self.problem.ledger.samples + (self._next_cost() or 0.0) <= self.budget + ROUNDING

    def _next_cost(self) -> float | None:
        """What the next step costs in samples, as far as is known."""
        problem = self.problem
        ahead = self.calls.step_cost(self.state, self.noise)
        if ahead is not None or self.step > 0:
            return self.position.last_cost if ahead is None else ahead
        first = self.calls.first_step_cost()
        return None if first is None else max(0.0, first - problem.ledger.samples)

    def _set_clock(self) -> None:
        clock = self.problem.clock
        clock.step = self.step
        if self.steps is not None:
            clock.progress = self.step / max(1, self.steps - 1)
        elif self.budget is not None:
            clock.progress = min(1.0, self.problem.ledger.samples / self.budget)

    def _record(self, info: Info, step: int) -> None:
        """Add the scored texts to the candidates for the result."""
        if info.scored is not None:
            record(self.archives, info.scored, step, self.weights, joint=bool(self.composition.joint))

    def _log_step(self, info: Info, step: int) -> None:
        self._record(info, step)
        problem = self.problem
        values = self.schedules.values(problem.clock)
        self.trace.step(step, problem.ledger.samples, info, problem.stopped, values)

    def _checkpoint(self) -> None:
        if self.folder is not None and self.state is not None:
            self.trace.sync()
            states = {name: part.state() for name, part in self.parts.items()}
            with attribute_errors_to(self.calls.owner, "cannot be saved", user_errors_pass=True):
                checkpoint.save_checkpoint(self.folder, self.request, self.state, states)

    def _write_end(self, results: list[Result]) -> None:
        """Write the results; those of a run that only pauses (`stop_after`) are not its end."""
        if self.folder is not None:
            status = self.status if self.stop_after is None else "paused"
            write_end(self.folder, self.request, status, results, self.trace.state())

    def _emit(self, kind: Literal["start", "step", "checkpoint", "end"], info: Info | None = None) -> None:
        best = [a.best[0] if a.best else a.starts[0] for a in self.archives]
        event = Event(
            kind=kind,
            run=self.identity,
            step=self.step,
            steps=self.steps,
            budget=self.budget,
            progress=self.problem.clock.progress,
            energy=[c.energy for c in best],
            samples=self.problem.ledger.samples,
            texts=[c.text for c in best],
            metrics={name: value.float().tolist() for name, value in info.metrics.items()} if info else {},
        )
        if self.on_event is not None:
            self.on_event(event)
        self.notes += self.composition.hub.observe(event)

    def _results(self) -> list[Result]:
        problem = self.problem
        warnings = [note for t in problem.terms for note in t.notes]
        notes = [
            *self.composition.hub.notes,
            *problem.policy.notes,
            *warnings,
            *self.notes,
            *problem.run.incidents,
            *notes_on_budget(self.conduct, self._next_cost()),
        ]
        locked = problem.locked
        facts = {
            "weights": self.weights,
            "ledger": problem.ledger.summary(),
            "sampler": self.name,
            "law": str(self.sampler.law) + ("" if locked is None else f", given that it begins with {locked.text!r}"),
            "steps": self.step,
            "seed": self.composition.recipe.seed,
            "status": self.status,
            "notes": notes,
        }
        return build_results(problem, self.archives, facts, self.conduct, self.acceptance.accepted)

    @property
    def conduct(self) -> Conduct:
        """How the run went so far, for notes."""
        item = next(i for i in self.composition.items if i.kind == "sampler")
        return Conduct(
            sampler=self.name,
            options=[option.name for option in item.options],
            steps=self.step,
            budget=self.budget,
            spent=self.problem.ledger.samples,
            chains=self.problem.chains,
            length=self.composition.recipe.max_new_tokens,
            draws=self.sampler.counts_budget,
            done=self.status == "done",
        )


def _status(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def _said(error: BaseException) -> BaseException:
    """The error, in words where memory is used up."""
    if not is_out_of_memory(error):
        return error
    said = out_of_memory(error)
    said.__cause__ = error
    return said

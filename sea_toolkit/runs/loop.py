"""The steps of a run: the sampler's, observers, checkpoints."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import NumericalError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.lm.micro_batches import MicroBatches
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.blame import during
from sea_toolkit.runs import checkpoint
from sea_toolkit.runs.acceptance import AcceptanceCounter
from sea_toolkit.runs.adaptive_schedules import AdaptiveSchedules
from sea_toolkit.runs.archive import Archive, Archives, record
from sea_toolkit.runs.checked_sampler import CheckedSampler
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.course import Course
from sea_toolkit.runs.folder import request_digest
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.less_memory import with_less_memory
from sea_toolkit.runs.manifest import manifest
from sea_toolkit.runs.position import Position, Stateful
from sea_toolkit.runs.token_gains import TokenGain
from sea_toolkit.runs.trace import Trace, numbers
from sea_toolkit.samplers.base import Info
from sea_toolkit.util import ranks, run_files
from sea_toolkit.util.halt import Halt

Done = TypeVar("Done")


class StepLoop:
    """One run over P prompts.

    Args:
        composition: a bound composition.
        problem: what it was bound to.
        folder: where to write, or None.
        checkpoint_every: steps between checkpoints.
        on_event: called with every `Event`, before the plugins that observe.
        stop_after: end after this many steps though more are planned (to be resumed later).
        occurrences: how often each prompt was given before, in earlier batches too: each time has a stream of its own.
        explains: tell at the end what each token of an answer is worth.
        halt: ends the run before its time.
        length: how long, instead of what the recipe says.
        sizes: of passes through models.

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
        occurrences: Sequence[int] | None = None,
        explains: bool = False,
        halt: Halt | None = None,
        sizes: MicroBatches | None = None,
    ) -> None:
        self.halt, self.sizes = halt or Halt(), sizes or MicroBatches()
        self.composition, self.problem, self.folder = composition, problem, folder
        self.checkpoint_every, self.on_event = checkpoint_every, on_event
        self.sampler = composition.sampler
        item = next(i for i in composition.items if i.kind == "sampler")
        self.name, self.calls = item.name, CheckedSampler(self.sampler, item.owner, problem)
        self.length = length or composition.length
        self.acceptance, self.position, self.trace = AcceptanceCounter(), Position(), Trace(folder)
        self.course = Course(
            problem, self.calls, self.position, self.length.steps, self.length.budget, stop_after=stop_after
        )
        self.identity = uuid.uuid4().hex
        self.occurrences, self.explains = occurrences, explains
        self.gains: list[list[list[TokenGain]]] | None = None
        self.noise = Noise.for_prompts(
            problem.prompts, composition.recipe.seed, problem.policy.device, occurrences=occurrences
        )
        self.schedules = AdaptiveSchedules(composition.reactive)
        self.archives = Archives(Archive() for _ in problem.prompts)
        self.parts: dict[str, Stateful] = {
            "noise": self.noise,
            "ledger": problem.ledger,
            "weights": problem.run.weighing,
            "limits": problem.run.multipliers,
            "chains": problem.run,
            "reread": problem.run.reread,
            "schedules": self.schedules,
            "archives": self.archives,
            "acceptance": self.acceptance,
            "position": self.position,
            "trace": self.trace,
        }
        self.state: Any = None
        self.notes: list[str] = []
        self.status = "ready"
        problem.run.weighing.noise = self.noise
        problem.run.multipliers.freezes = self.sampler.law.kind != "none"
        problem.run.reread.learns = self.sampler.law.kind == "none"
        problem.ledger.begin(problem.sample_flops)

    @property
    def weights(self) -> list[dict[str, float]]:
        """For each prompt label → weight at the end of the run, by which all of its texts are compared."""
        return self.problem.weights_at(self.length.end)

    @property
    def scales(self) -> dict[str, float]:
        """Label → what the term is divided by, where that is not 1."""
        scales = {t.label: self.problem.run.weighing.scale(t) for t in self.problem.terms}
        return {label: scale for label, scale in scales.items() if scale != 1.0}

    @property
    def step(self) -> int:
        """Steps done."""
        return self.position.step

    @property
    def steps(self) -> int | None:
        """Steps to be taken at most."""
        return self.course.steps

    @property
    def budget(self) -> float | None:
        """Samples to be spent at most."""
        return self.course.budget

    @functools.cached_property
    def request(self) -> str:
        """What ties the files of a folder together; columns that are no plain data have none, and no folder."""
        return request_digest(self.composition.recipe, self.problem.prompts)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """Who takes part; reads all weights."""
        length = {"steps": self.steps, "budget": self.budget}
        facts = {"run": self.request, "length": length, "scales": self.scales}
        return manifest(self.problem, self.composition, self.name) | facts

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

    def take_steps(self) -> None:
        problem = self.problem
        self.trace.cut()
        if self.state is None:
            if self.folder is not None:
                run_files.write_sealed(self.folder / run_files.MANIFEST, self.manifest)
            self.course.set_clock()
            with during("at the start"), problem.ledger.asking(self.halt.ask_at_the_start):
                state, info = self._in_memory("at the start", lambda: self.calls.init(self.noise))
                self._log_step(info, -1)
            if self.folder is not None and problem.run.weighing.scales:
                run_files.write_sealed(self.folder / run_files.MANIFEST, self.manifest | {"scales": self.scales})
            self.state, self.position.scored_last_step = state, info.scored is not None
            self.position.planned = problem.ledger.samples
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
            self.halt.ask()
            self._emit("step", self._in_memory(f"in step {self.step + 1}", self._take_step, undoes=True))
            if self.folder is not None and self.step % self.checkpoint_every == 0:
                self._checkpoint()
                self._emit("checkpoint")

    def _take_step(self) -> Info:
        problem = self.problem
        self.course.set_clock()
        before, spent, expected = self._parts_now(), problem.ledger.samples, self.course.expected
        try:
            with during(f"in step {self.step + 1}"), problem.ledger.asking(self.halt.ask):
                state, info = self.calls.step(self.state, self.noise)
                self._log_step(info, self.step + 1)
                self.acceptance.count(info.metrics)
                self.schedules.tell(problem.clock, info.metrics, problem.stopped, self.archives)
                self._tell_limits(info)
            done, cost, scored = self.step + 1, problem.ledger.samples - spent, info.scored is not None
            planned = self.position.planned + (cost if expected is None else expected)
        except BaseException:
            self._undo(before)
            raise
        # no call in between: an interrupt leaves either the old step or the new one
        at, self.state = self.position, state
        at.step, at.last_cost, at.scored_last_step, at.planned = done, cost, scored, planned
        return info

    def _in_memory(self, where: str, work: Callable[[], Done], *, undoes: bool = False) -> Done:
        """Do it; where memory is used up, again from where it began, with fewer rows at once.

        Args:
            where: in the run.
            work: what is to be done.
            undoes: if it fails, it leaves everything as it was.
        """
        before = None if undoes else self._parts_now()
        done, note = with_less_memory(work, where, self.sizes, lambda: None if before is None else self._undo(before))
        if note is not None:
            self.problem.run.note(note)
        return done

    def _parts_now(self) -> dict[str, Any]:
        return {name: part.state() for name, part in self.parts.items()}

    def _undo(self, before: dict[str, Any]) -> None:
        """The step did not happen: a resumed run takes it again, from the same streams."""
        state, self.state = self.state, None  # as long as the parts do not fit, there is nothing to be saved
        self._load(before)
        self.trace.cut()
        self.state = state

    def _load(self, states: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state(states[name])

    def _goes_on(self) -> bool:
        return self.course.goes_on(self.state, self.noise)

    def _record(self, info: Info, step: int) -> None:
        """Add the scored texts to the candidates for the result."""
        if info.scored is not None:
            record(self.archives, info.scored, step, self.weights, joint=bool(self.composition.joint))

    def _log_step(self, info: Info, step: int) -> None:
        ranks.refuse_apart(lambda: _in_words(info), "at the start" if step < 0 else f"in step {step}")
        self._record(info, step)
        problem = self.problem
        values = {
            "schedules": self.schedules.values(problem.clock),
            "scales": self.scales if step < 0 else {},
            "multipliers": {k: numbers(v) for k, v in problem.run.multipliers.values.items()},
        }
        self.trace.step(step, problem.ledger.samples, info, problem.stopped, values)

    def _tell_limits(self, info: Info) -> None:
        """Let the multipliers of the limits follow the texts of the step."""
        problem, values = self.problem, None if info.scored is None else info.scored.energies.terms
        problem.run.multipliers.tell(problem.terms, problem.clock, values, info.metrics.get("accepted"))

    def _checkpoint(self) -> None:
        if self.folder is not None and self.state is not None:
            self.trace.sync()
            states = self._parts_now()
            checkpoint.save_checkpoint(self.folder, self.request, self.state, states, self.calls.owner)

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
        if not ranks.follows():
            self.notes += self.composition.hub.observe(event)


def _in_words(info: Info) -> str:
    """What a step has come to, of which two are the same or not, whatever is NaN in it."""
    metrics, scored = {name: value.tolist() for name, value in info.metrics.items()}, info.scored
    return repr([metrics, None if scored is None else [scored.texts, scored.energies.total.tolist()]])

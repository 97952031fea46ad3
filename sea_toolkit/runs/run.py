"""The run loop: steps until the budget is spent, observers, checkpoints, and the best text at the end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import NumericalError, RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs import checkpoint
from sea_toolkit.runs.acceptance import Moves, scarce
from sea_toolkit.runs.adaptive_schedules import Reactions
from sea_toolkit.runs.archive import Archive, record
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.manifest import manifest
from sea_toolkit.runs.result import Interrupted, Result, conclude, finite
from sea_toolkit.runs.rewrite import add_rewrites, rewrite
from sea_toolkit.samplers.base import Info
from sea_toolkit.util import run_files

Standing = tuple[torch.Tensor, dict[str, Any], torch.Tensor, list[str], dict[str, Any], list[int], dict[str, Any]]
"""Random streams, ledger, stopped chains, incidents, reactive schedules, texts seen per prompt, moves."""


class Run:
    """One run over P prompts.

    Args:
        composition: a bound composition.
        problem: what it was bound to.
        folder: where to write, or None.
        checkpoint_every: steps between checkpoints.
        on_event: called with every `Event`, before the plugins that observe.
        stop_after: end after this many steps though more are planned (to be resumed later).
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
    ) -> None:
        self.composition, self.problem, self.folder = composition, problem, folder
        self.checkpoint_every, self.on_event, self.stop_after = checkpoint_every, on_event, stop_after
        spec, self.sampler = composition.recipe.sampler, composition.sampler
        self.name = next(i.name for i in composition.items if i.kind == "sampler")
        self.steps = spec.steps if spec.steps or spec.budget else self.sampler.default_steps
        self.budget = spec.budget if spec.steps or spec.budget else self.sampler.default_budget
        if self.budget is not None and self.budget < problem.chains:
            raise RecipeError(
                f"a budget of {self.budget:g} samples, and {problem.chains} chains that each start with one",
                expected=f"a budget of at least {problem.chains}",
                hint="fewer --chains, or a larger --budget",
            )
        self.noise = Noise.for_prompts(problem.prompts, composition.recipe.seed, problem.policy.device)
        self.identity = uuid.uuid4().hex
        self.reactions = Reactions(composition.reactive)
        self.archives, self.moves = [Archive() for _ in problem.prompts], Moves()
        self.step, self.state, self.last_cost, self.looked = 0, None, 0.0, False
        self.notes: list[str] = [warning for t in problem.terms for warning in t.bound.warnings]
        self.manifest = manifest(problem, composition.items, self.name, composition.recipe.seed)
        self.status = "done"
        end = Clock(step=max(0, (self.steps or 1) - 1), progress=1.0)
        self.weights = {t.label: end.value(t.weight) for t in problem.terms}
        problem.clock.budget = self.budget
        problem.ledger.sample_flops = problem.sample_flops

    @property
    def can_resume(self) -> bool:
        """Whether the folder holds a checkpoint; a run killed before its first one starts over."""
        return self.folder is not None and (self.folder / run_files.CHECKPOINT).exists()

    def resume(self) -> None:
        """Go on from the folder's checkpoint: the same states, streams, counts and candidates.

        Raises:
            SeaError: there is none, or it is damaged.
        """
        assert self.folder is not None
        state, noise, facts = checkpoint.load_checkpoint(
            self.folder, self.sampler.state_type, self.problem.policy.device
        )
        self.state, self.step, self.last_cost = state, facts["step"], facts["last_cost"]
        self.looked = facts["looked"]
        stopped = torch.tensor(facts["stopped"], device=self.problem.policy.device)
        self.archives = [Archive.from_state(a) for a in facts["archives"]]
        seen = [a.seen for a in self.archives]
        self._restore((noise, facts["ledger"], stopped, facts["incidents"], facts["schedules"], seen, facts["moves"]))
        checkpoint.cut_trace(self.folder / run_files.TRACE, self.step)

    def execute(self) -> list[Result]:
        """Run to the end.

        Raises:
            Interrupted: on Ctrl-C; what exists is written first.
            SeaError: a plugin failed, or nothing finite was met; what exists is written first.
        """
        failure: BaseException | None = None
        closing = False
        try:
            self._loop()
            # before the last look, which a resumed run takes again, at its own end
            self._checkpoint()
            closing = True
            self._last_look()
            self._rewrite()
        except (KeyboardInterrupt, SeaError) as error:
            self.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            failure = error
            if not all(a.best for a in self.archives):
                raise
            if isinstance(error, KeyboardInterrupt) and not closing:
                self._checkpoint()
        results = self._results()
        if self.folder is not None:
            run_files.write_json(self.folder / run_files.RESULT, [json.loads(r.to_json()) for r in results])
        self._tell("end")
        if isinstance(failure, KeyboardInterrupt):
            raise Interrupted(results) from failure
        if failure is not None:
            raise failure
        return results

    def _loop(self) -> None:
        problem = self.problem
        if self.state is None:
            if self.folder is not None:
                run_files.write_json(self.folder / run_files.MANIFEST, self.manifest)
            self._set_clock()
            state, info = self.sampler.init(problem, self.noise)
            self._note(info, -1)
            self.state, self.looked = state, info.scored is not None
            if all(a.starts[0].energy == float("inf") for a in self.archives) and bool(problem.stopped.all()):
                raise NumericalError(
                    "no chain has a finite energy: " + "; ".join(problem.incidents),
                    hint="leave out the energy that is named",
                )
        self._tell("start")
        while self._goes_on():
            self._set_clock()
            before, spent = self._standing(), problem.ledger.samples
            try:
                state, info = self.sampler.step(problem, self.state, self.noise)
                self._note(info, self.step + 1)
                self.moves.see(info.metrics)
                self.reactions.tell(problem.clock, info.metrics, problem.stopped, self.archives)
                cost, looked = problem.ledger.samples - spent, info.scored is not None
            except KeyboardInterrupt:
                self._restore(before)  # the step did not happen: a resumed run takes it again, from the same streams
                raise
            # no call in between: an interrupt leaves either the old step or the new one
            self.state, self.last_cost, self.looked, self.step = state, cost, looked, self.step + 1
            self._tell("step", info)
            if self.folder is not None and self.step % self.checkpoint_every == 0:
                self._checkpoint()
                self._tell("checkpoint")

    def _last_look(self) -> None:
        """Score the texts of the last step, if the sampler has not."""
        if not self.looked and not bool(self.problem.stopped.all()):
            scored = self.problem.rescore(self.sampler.current(self.problem, self.state))
            self._note(Info(scored), self.step, last=True)

    def _rewrite(self) -> None:
        """Let rewrites of the answers compete, if the recipe asks for them."""
        recipe, texts = self.composition.recipe, [a.best[0].text for a in self.archives]
        scored = None if recipe.rewrite is None else rewrite(self.problem, texts, recipe.rewrite, recipe.seed)
        if scored is None:
            return
        add_rewrites(self.archives, scored, self.step, self.weights)
        if self.folder is not None:
            line = {"step": self.step, "samples": self.problem.ledger.samples, "last": True, "rewrites": scored.texts}
            checkpoint.append_trace(self.folder, {**line, "energy": _numbers(scored.energies.total)})

    def _standing(self) -> Standing:
        """What a step changes besides the sampler's state."""
        problem = self.problem
        incidents, seen = list(problem.incidents), [a.seen for a in self.archives]
        schedules, moves = self.reactions.state(), self.moves.state()
        return self.noise.state(), problem.ledger.state(), problem.stopped, incidents, schedules, seen, moves

    def _restore(self, standing: Standing) -> None:
        noise, ledger, self.problem.stopped, self.problem.incidents, schedules, seen, moves = standing
        self.noise.load_state(noise)
        self.problem.ledger.load_state(ledger)
        self.reactions.load_state(schedules)
        for archive, count in zip(self.archives, seen, strict=True):
            archive.seen = count
        self.moves = Moves(**moves)

    def _goes_on(self) -> bool:
        if self.stop_after is not None and self.step >= self.stop_after:
            return False
        if bool(self.problem.stopped.all()):
            return False
        if self.sampler.finished(self.problem, self.state):
            return False
        if self.steps is not None and self.step >= self.steps:
            return False
        # answers that end early are cheaper than a sample: a sampler with its own count decides alone
        if self.budget is None or self.sampler.counts_budget:
            return True
        return self.problem.ledger.samples + self.last_cost <= self.budget

    def _set_clock(self) -> None:
        clock = self.problem.clock
        clock.step = self.step
        if self.steps is not None:
            clock.progress = self.step / max(1, self.steps - 1)
        elif self.budget is not None:
            clock.progress = min(1.0, self.problem.ledger.samples / self.budget)

    def _note(self, info: Info, step: int, *, last: bool = False) -> None:
        if info.scored is not None:
            record(self.archives, info.scored, step, self.weights, joint=bool(self.composition.joint))
        if self.folder is None:
            return
        line: dict[str, Any] = {"step": step, "samples": self.problem.ledger.samples}
        if last:
            line["last"] = True
        line |= {k: _numbers(v) for k, v in info.metrics.items()}
        if self.reactions.schedules and not last:
            line["schedules"] = self.reactions.values(self.problem.clock)
        if info.scored is not None:
            line["energy"] = _numbers(info.scored.energies.total)
            line["terms"] = {k: _numbers(v) for k, v in info.scored.energies.terms.items()}
            line["texts"] = info.scored.texts
        line["stopped"] = self.problem.stopped.tolist()
        checkpoint.append_trace(self.folder, line)

    def _checkpoint(self) -> None:
        if self.folder is None or self.state is None:
            return
        facts = {
            "step": self.step,
            "last_cost": self.last_cost,
            "looked": self.looked,
            "ledger": self.problem.ledger.state(),
            "stopped": self.problem.stopped.tolist(),
            "incidents": self.problem.incidents,
            "schedules": self.reactions.state(),
            "archives": [a.state() for a in self.archives],
            "moves": self.moves.state(),
        }
        checkpoint.save_checkpoint(self.folder, self.state, self.noise.state(), facts)

    def _tell(self, kind: Literal["start", "step", "checkpoint", "end"], info: Info | None = None) -> None:
        best = [a.best[0] if a.best else a.starts[0] for a in self.archives]
        event = Event(
            kind=kind,
            run=self.identity,
            step=self.step,
            steps=self.steps,
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
        notes = [*self.notes, *problem.incidents, *self.moves.notes(self.name)]
        if self.budget is not None and self.status == "done" and not self.sampler.counts_budget:
            notes += scarce(self.budget, problem.ledger.samples, self.step)
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
        return conclude(problem, self.archives, facts)


def _numbers(value: torch.Tensor) -> list[Any]:
    return [[finite(round(x, 6)) for x in row] for row in value.float().tolist()]

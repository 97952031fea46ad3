"""A whole run: its steps, the last look at its texts, and what is kept of it however it ends."""

from __future__ import annotations

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import SeaError
from sea_toolkit.registry.blame import cause_of, during, is_out_of_memory, out_of_memory
from sea_toolkit.runs.build_results import build_results
from sea_toolkit.runs.loop import StepLoop
from sea_toolkit.runs.notes import Conduct, notes_on_budget
from sea_toolkit.runs.rest import answers_for_the_rest
from sea_toolkit.runs.result import Interrupted, Result
from sea_toolkit.runs.rewrite import add_rewrites, rewrite
from sea_toolkit.runs.stored import write_end
from sea_toolkit.runs.token_gains import token_gains
from sea_toolkit.samplers.base import Info
from sea_toolkit.util.halt import Halted
from sea_toolkit.util.wording import counted

STOPPED = "stopped"
"""Status of a run that its `Halt` has ended."""
END = "at the end of the run"
"""Where it happened, in messages."""


class Run(StepLoop):
    """The steps of a run, and its end; see `StepLoop`."""

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
        with self.sizes.active():
            return self._execute()

    def _execute(self) -> list[Result]:
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
            self.halt.begin()
            try:
                self.take_steps()
            except Halted as end:
                if end.__cause__ is not None:
                    raise end.__cause__ from None
                self.status = STOPPED
                self.notes.append(f"stopped after {counted(self.step, 'step')}: {end}")
            # before the final scoring, which a resumed run repeats at its own end
            self._checkpoint()
            closing = True
            with during(END):
                self._in_memory(END, self._score_final_texts)
                if self.status != STOPPED:
                    self._in_memory(END, self._spend_rest)
                    self._in_memory(END, self._rewrite)
                self._in_memory(END, self._explain)
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

    def _score_final_texts(self) -> None:
        """Score the texts of the last step, if the sampler has not."""
        problem = self.problem
        if not self.position.scored_last_step and not bool(problem.stopped.all()):
            info = Info(problem.score_as_text(self.calls.current(self.state)))
            self._record(info, self.step)
            self.trace.last_look(self.step, problem.ledger.samples, info, problem.stopped)

    def _spend_rest(self) -> None:
        """Spend what pays for no further step on answers of the policy; not those of a joint energy, which are sets."""
        if self.budget is None or self.course.stop_after is not None or self.composition.joint:
            return
        scored = answers_for_the_rest(self.problem, self.noise, self.budget)
        if scored is not None:
            self._record(Info(scored), self.step)
            self.trace.rest(self.step, self.problem.ledger.samples, scored)

    def _rewrite(self) -> None:
        """Let rewrites of the answers compete, if the recipe asks for them."""
        recipe, texts = self.composition.recipe, [a.best[0].text for a in self.archives]
        scored = (
            None
            if recipe.rewrite is None
            else rewrite(self.problem, texts, recipe.rewrite, recipe.seed, self.occurrences)
        )
        if scored is not None:
            add_rewrites(self.archives, scored, self.step, self.weights)
            self.trace.rewrites(self.step, self.problem.ledger.samples, scored)

    def _explain(self) -> None:
        """Tell what each token of the first text and of the answer is worth, if the run is asked to."""
        shown = [[a.starts[0], a.best[0]] for a in self.archives]
        if not self.explains or any(c.energy == float("inf") for row in shown for c in row):
            return
        spent = self.problem.ledger.samples
        self.gains = token_gains(self.problem, shown, self.weights)
        self.notes.append(
            f"explaining the tokens took {self.problem.ledger.samples - spent:.1f} samples per prompt more"
        )

    def _write_end(self, results: list[Result]) -> None:
        """Write the results; those of a run that only pauses (`stop_after`) are not its end."""
        if self.folder is not None:
            status = self.status if self.course.stop_after is None else "paused"
            write_end(self.folder, self.request, status, results, self.trace.state())

    def _results(self) -> list[Result]:
        problem, recipe = self.problem, self.composition.recipe
        warnings = [note for t in problem.terms for note in t.notes]
        notes = [
            *self.composition.hub.notes,
            *problem.policy.notes,
            *warnings,
            *self.notes,
            *problem.run.weighing.notes,
            *self.composition.notes(problem.policy),
            *problem.run.incidents,
            *notes_on_budget(self.conduct, self.course.next_cost(self.state, self.noise)),
        ]
        locked = problem.locked
        facts = {
            "ledger": problem.ledger.summary(),
            "sampler": self.name,
            "law": str(self.sampler.law) + ("" if locked is None else f", given that it begins with {locked.text!r}"),
            "steps": self.step,
            "seed": recipe.seed,
            "scales": self.scales,
            "status": self.status,
            "notes": notes,
        }
        return build_results(
            problem, self.archives, facts, self.conduct, self.acceptance.accepted, self.weights, self.gains
        )

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

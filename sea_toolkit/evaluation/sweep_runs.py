"""The runs of a sweep over weights: from a batch of prompts to rows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.core.noise import Noise
from sea_toolkit.evaluation.cells import ProgressMeter
from sea_toolkit.evaluation.drawing import draw_texts, instructed
from sea_toolkit.evaluation.objectives import Objective, Wanted, cells
from sea_toolkit.evaluation.pools import Met, Pool
from sea_toolkit.evaluation.rows import Keeps, Key, Row
from sea_toolkit.evaluation.weight_designs import Weights, written
from sea_toolkit.events import Event
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.blame import during
from sea_toolkit.runs.archive import candidates_of
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.notes import notes_on_budget
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.run import Run
from sea_toolkit.runs.session import Session
from sea_toolkit.samplers.base import Info
from sea_toolkit.util.conversation import Prompt, times_before

BASE, SWEEP, BEST_OF_N, PROMPTED = "base", "sweep", "best-of-n", "prompted"
"""Methods of rows: the policy's own answers, the sweep, and what it is compared with."""


class SweepRun(Run):
    """A run that keeps every text it meets; `pools` has one pool for each row of its table."""

    def __init__(self, composition: Composition, problem: Problem, where: Sequence[str], **more: Any) -> None:
        super().__init__(composition, problem, **more)
        self.where, self.pools = where, [Pool() for _ in problem.prompts]

    def _record(self, info: Info, step: int) -> None:
        super()._record(info, step)
        if info.scored is not None:
            met = candidates_of(info.scored, step, self.weights)
            for pool, where, candidates in zip(self.pools, self.where, met, strict=True):
                pool.add(Met.of(c, self.problem, where) for c in candidates if c.energy < math.inf)


@dataclass(frozen=True)
class Step:
    """What a sweep does with one batch of prompts at a time.

    Attributes:
        method: of its rows.
        batch: number of the batch.
        round: of the sweep.
        vectors: the weights of this round.
        before: how many vectors there were in the rounds before.
        objectives: measured, for a round.
        count: answers to draw, of each prompt, for what the sweep is compared with.
    """

    method: str
    batch: int
    round: int = 0
    vectors: tuple[Weights, ...] = ()
    before: int = 0
    objectives: tuple[Objective, ...] = ()
    count: int = 0

    @property
    def key(self) -> Key:
        """Of its rows."""
        return self.method, self.round, self.batch

    @property
    def words(self) -> str:
        """What it is, for those who watch."""
        return f"{self.method}, batch {self.batch + 1}" + (f", round {self.round + 1}" if self.round else "")

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Step:
        """What `asdict` gave."""
        vectors = tuple(tuple(vector) for vector in data["vectors"])
        return cls(**{**data, "vectors": vectors, "objectives": tuple(Objective(**o) for o in data["objectives"])})


@dataclass
class Batch:
    """Some of the prompts, which are worked on together, under every weight."""

    index: int
    first: int
    prompts: Sequence[Prompt]


@dataclass
class SweepWork:
    """What all runs share.

    Attributes:
        base: the recipe as it was given, for draws.
        recipe, own: the same with the objectives' weights from columns.
        most: weight vectors in the end, which decides the streams of what is drawn beside the sweep.
        answers: of the policy for each prompt, which the units are measured on.
    """

    base: Recipe
    base_own: OwnEnergies
    recipe: Recipe
    own: OwnEnergies
    session: Session
    allowed: Allowed
    store: Keeps
    wanted: Sequence[Wanted]
    strength: float
    most: int
    answers: int
    meter: ProgressMeter
    batches: Sequence[Batch]
    methods: Mapping[str, Mapping[str, str]]

    def do(self, step: Step) -> None:
        """Make the rows of a step, unless they are there."""
        self.meter.enter(step.words)
        if step.key in self.store.done:
            return
        batch = self.batches[step.batch]
        if step.method == BASE:
            self.draw_base(batch)
        elif step.method == SWEEP:
            self.run_round(batch, step.round, step.vectors, step.before, step.objectives)
        elif step.method == BEST_OF_N:
            self.draw_best_of_n(batch, step.count)
        else:
            self.draw_prompted(batch, step.count, self.methods[PROMPTED])

    def draw_base(self, batch: Batch) -> None:
        """The policy's own answers, which the units are measured on."""
        self._draw(BASE, batch, [self.answers], [None])

    def draw_best_of_n(self, batch: Batch, count: int) -> None:
        """As many answers of the policy as the sweep has cost."""
        self._draw(BEST_OF_N, batch, [count], [None])

    def draw_prompted(self, batch: Batch, count: int, instructions: Mapping[str, str]) -> None:
        """As many answers under instructions, in equal shares, scored under the prompt without them."""
        shares = [count // len(instructions) + (i < count % len(instructions)) for i in range(len(instructions))]
        self._draw(PROMPTED, batch, shares, list(instructions.items()))

    def run_round(
        self, batch: Batch, number: int, vectors: Sequence[Weights], before: int, objectives: Sequence[Objective]
    ) -> None:
        """All prompts of a batch under some weights, in one run.

        Args:
            batch: of prompts.
            number: of the round.
            vectors: of this round.
            before: vectors of the rounds before.
            objectives: measured.
        """
        columns = [cells(self.wanted, objectives, vector, self.strength) for vector in vectors]
        table = [p.with_columns({**p.columns, **cell}) for p in batch.prompts for cell in columns]
        composition = self.session.compose(self.recipe, self.own, self.allowed)
        share = self.share(composition) * len(table)

        def on_event(event: Event) -> None:
            self.meter.tell(share * event.progress)

        problem, watch = self.session.bind(composition, table), Stopwatch()
        where = [written(vector) for _ in batch.prompts for vector in vectors]
        # the streams of a prompt are those of its vectors, whatever batches and rounds they come in
        counts = times_before(table, list(batch.prompts) * before)
        run = SweepRun(composition, problem, where, occurrences=counts, on_event=on_event)
        run.execute()
        notes = [*run.notes, *problem.run.incidents]
        notes += notes_on_budget(run.conduct, run.course.next_cost(run.state, run.noise))
        spent = {"samples": problem.ledger.samples, **watch.seconds(len(table)), "sampler": run.name, "notes": notes}
        rows = []
        for i, (pool, weights) in enumerate(zip(run.pools, run.weights, strict=True)):
            p, v = divmod(i, len(vectors))
            under = {"vector": before + v, "shares": list(vectors[v]), "weights": dict(weights)}
            rows.append({**_row(SWEEP, number, batch, p, pool.texts), **spent, **under})
        self._keep(rows, share)

    def share(self, composition: Composition) -> float:
        """Samples of one row of the table, about: what a run is given, or a sample for each chain and step."""
        steps, budget = composition.length
        return budget or float(steps or 1)

    def _draw(self, method: str, batch: Batch, counts: Sequence[int], asked: Sequence[tuple[str, str] | None]) -> None:
        """So many answers of the policy, each time as it is or under an instruction, given by its label and text."""
        composition = self.session.compose(self.base, self.base_own, self.allowed)
        problem, watch = self.session.bind(composition, batch.prompts), Stopwatch()
        policy, streams = problem.policy, self.most + (BASE, BEST_OF_N, PROMPTED).index(method)
        texts, done = [list[Met]() for _ in batch.prompts], 0

        def tell(drawn: int) -> None:
            self.meter.tell(len(batch.prompts) * (done + drawn))

        for i, (count, instruction) in enumerate(zip(counts, asked, strict=True)):
            counts = times_before(batch.prompts, list(batch.prompts) * (streams + i))
            noise = Noise.for_prompts(batch.prompts, self.base.seed, policy.device, occurrences=counts)
            prefix, where = None, method
            if instruction is not None:
                where = f"{method}: {instruction[0]}"
                prefix = policy.prefix(policy.encode(instructed(policy, batch.prompts, instruction[1]), problem.length))
            with during("while answers are drawn"):
                found = draw_texts(problem, noise, count, where, tell, prefix)
            done += count
            for row, more in zip(texts, found, strict=True):
                row += more
        spent = {
            "samples": float(done), **watch.seconds(len(texts)), "sampler": "policy",
            "notes": list(problem.run.incidents), "rewards": [t.label for t in problem.terms if t.is_reward],
        }  # fmt: skip
        self._keep([{**_row(method, 0, batch, p, met), **spent} for p, met in enumerate(texts)], done * len(texts))

    def _keep(self, rows: list[Row], samples: float) -> None:
        self.store.add(rows)
        self.meter.done += samples
        self.meter.tell()


class Stopwatch:
    """Seconds from here on, by the clock and of the CPU."""

    def __init__(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def seconds(self, rows: int) -> dict[str, float]:
        """Those of each of so many rows."""
        wall, cpu = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        return {"seconds": wall / rows, "cpu_seconds": cpu / rows}


def _row(method: str, number: int, batch: Batch, p: int, texts: Sequence[Met]) -> Row:
    return {
        "method": method, "round": number, "batch": batch.index, "prompt_index": batch.first + p,
        "texts": [met.to_row() for met in texts], "where": [met.where for met in texts],
    }  # fmt: skip


def samples_of(rows: Sequence[Row]) -> int:
    """Whole samples that the sweep has cost a prompt of these rows: the sum over its weights."""
    first = min((row["prompt_index"] for row in rows), default=None)
    spent = sum(row["samples"] for row in rows if row["prompt_index"] == first)
    return math.ceil(spent - 1e-6)

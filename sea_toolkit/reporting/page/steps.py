"""The trace of a run by prompt: what its chains were at each step, in numbers and in texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sea_toolkit.reporting.page.numbers import tidy
from sea_toolkit.reporting.word_diff import word_diff

Line = Mapping[str, Any]
"""A line of `trace.jsonl`."""

Number = float | None
"""None where there is none, or it is not finite."""

SOFT, OWN = "soft_energy", "chain_energy"
"""Metrics of samplers: the energy of a relaxed answer, and that of the text at which a chain is."""

CLOSE = 1e-4
"""Energies that differ by less, relative to 1 or to their size, are of the same text."""


@dataclass
class ChainCourse:
    """One chain over the steps.

    Attributes:
        energy: at each step.
        terms: label → the same, unweighted.
        texts: at each step, "" where none is known.
    """

    energy: list[Number]
    terms: dict[str, list[Number]]
    texts: list[str]

    def add(self, energy: Number, terms: Mapping[str, Number], text: str) -> None:
        """One more step."""
        self.energy.append(energy)
        self.texts.append(text)
        for label, values in self.terms.items():
            values.append(terms[label])

    def stay(self) -> None:
        """One more step, in which nothing of the chain was scored."""
        terms = {label: values[-1] if values else None for label, values in self.terms.items()}
        self.add(self.energy[-1] if self.energy else None, terms, self.texts[-1] if self.texts else "")


@dataclass
class Course:
    """One prompt over the steps; the starting texts are step 0.

    A step may score several texts for a chain, or none. Where the sampler says at which energy a chain is
    (`chain_energy`), its text is the one of that energy, or still the last one: the others were not taken. Else it is
    the best one that was scored for the chain in that step. A sampler of relaxed answers gives numbers of these between
    the texts that it begins and ends with.

    Attributes:
        steps: their numbers.
        chains: what they were.
        lowest: the lowest energy of any text so far, at each step.
    """

    steps: list[int]
    chains: list[ChainCourse]
    lowest: list[Number]

    @classmethod
    def of(cls, trace: Sequence[Line], prompt: int) -> Course:
        """The course of one prompt of a run.

        Args:
            trace: its lines.
            prompt: its place among the prompts.
        """
        lines = [line for line in trace if "texts" in line or SOFT in line]
        count = len(lines[0]["texts"][prompt]) if lines else 0
        chains = [ChainCourse([], {label: [] for label in lines[0]["terms"]}, []) for _ in range(count)]
        course = cls([], chains, [])
        for line in lines:
            course._add(line, prompt)
        return course

    def _add(self, line: Line, p: int) -> None:
        met = line["energy"][p] if "texts" in line else []
        self.steps.append(max(0, line["step"]))
        self.lowest.append(min((v for v in [*met, *self.lowest[-1:]] if v is not None), default=None))
        for c, chain in enumerate(self.chains):
            if "texts" not in line:
                terms = {k: line[f"soft/{k}"][p][c] if f"soft/{k}" in line else None for k in chain.terms}
                chain.add(line[SOFT][p][c], terms, chain.texts[-1])
                continue
            place = _place(met, c, len(self.chains), line[OWN][p][c] if OWN in line else None)
            if place is None:
                chain.stay()
            else:
                terms = {k: line["terms"][k][p][place] for k in chain.terms}
                chain.add(met[place], terms, line["texts"][p][place])

    def mean_terms(self, weights: Mapping[str, float]) -> dict[str, list[Number]]:
        """Label → weight · term at each step, the mean over the chains where it is finite.

        Args:
            weights: of the terms; those of weight 0 are left out, and all count 1 where there are none.
        """
        labels = self.chains[0].terms if self.chains else {}
        factors = weights or dict.fromkeys(labels, 1.0)
        return {k: means([chain.terms[k] for chain in self.chains], factors[k]) for k in labels if factors[k]}

    def story(self, number: int, room: int) -> dict[str, Any]:
        """What a chain's text was over time, each text with the words that are new in it.

        Args:
            number: of the chain.
            room: characters, about; where more were written, steps are left out evenly.
        """
        chain = self.chains[number]
        changed = [0, *(i for i, (a, b) in enumerate(pairwise(chain.texts), 1) if a != b)]
        size = sum(len(chain.texts[i]) for i in changed) / len(changed)
        kept = _evenly(changed, max(2, int(room / max(size, 1.0))))
        entries = []
        for i, before in zip(kept, [None, *kept], strict=False):
            text = chain.texts[i]
            pieces = [(text, False)] if before is None else tidy(word_diff(chain.texts[before], text)[1])
            entries.append({"step": self.steps[i], "energy": chain.energy[i], "pieces": pieces})
        return {
            "chain": number + 1,
            "first": chain.energy[0],
            "last": chain.energy[-1],
            "changes": len(changed) - 1,
            "left_out": len(changed) - len(kept),
            "entries": entries,
        }


def _place(met: Sequence[Number], chain: int, chains: int, value: Number) -> int | None:
    """Which of the texts that were scored in a step is the chain's; None where it is none of them.

    Args:
        met: their energies, chain after chain the same number of them; fewer than chains where only the first have one.
        chain: its number.
        chains: how many there are.
        value: the energy at which the chain is, if it is known.
    """
    each = max(1, len(met) // chains)
    own = {i: e for i, e in enumerate(met) if i // each == chain and e is not None}
    if value is not None:
        own = {i: e for i, e in own.items() if abs(e - value) <= CLOSE * max(1.0, abs(value))}
    return min(own, key=lambda i: own[i], default=None)


def means(rows: Sequence[Sequence[Number]], factor: float = 1.0) -> list[Number]:
    """The mean of each column where there is a number, times a factor."""
    columns = [[v for v in column if v is not None] for column in zip(*rows, strict=True)]
    return [factor * sum(column) / len(column) if column else None for column in columns]


def _evenly(places: list[int], most: int) -> list[int]:
    """At most so many of them, the first and the last included."""
    if len(places) <= most:
        return places
    return [places[round(i * (len(places) - 1) / (most - 1))] for i in range(most)]

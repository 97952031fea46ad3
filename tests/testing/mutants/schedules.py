"""Broken schedules."""

from __future__ import annotations

import math
import random

import torch

from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("schedule", MUTANTS)


@mutant("builds")
def missing_option(progress, step, *, start: float):
    """Is not given its option."""
    return start


@mutant("builds", start=1.0)
class NoState:
    """A class that cannot say what its state is."""

    def __init__(self, *, start: float):
        self.start = start

    def at(self, progress, step):
        return self.start

    def observe(self, seen):
        self.start = seen.best_energy


@mutant("float")
def tensor(progress, step):
    """Returns a tensor."""
    return torch.tensor(progress)


@mutant("float")
def switch(progress, step):
    """Returns true or false."""
    return progress < 0.5


@mutant("ends")
def growing(progress, step):
    """Grows with the step, not the progress: infinite in long runs."""
    return math.exp(step) if step < 700 else math.inf


@mutant("finite")
def pole(progress, step):
    """Not a number in the middle."""
    return math.nan if 0.4 < progress < 0.5 else 1.0


@mutant("pure")
def jitter(progress, step):
    """Draws from a random stream of the process."""
    return random.random()


COUNT = [0]


@mutant("pure")
def counter(progress, step):
    """Counts its calls."""
    COUNT[0] += 1
    return 1.0 / COUNT[0]


@mutant("pure", start=1.0)
class MovedByLooking:
    """A class that changes when it is asked."""

    def __init__(self, *, start: float):
        self.value = start

    def at(self, progress, step):
        self.value *= 0.9
        return self.value

    def observe(self, seen):
        pass

    def state(self):
        return self.value

    def load_state(self, state):
        self.value = state


@mutant("state", start=1.0)
class Forgetful:
    """A class that leaves its counter out of the state."""

    def __init__(self, *, start: float):
        self.value, self.count = start, 0

    def at(self, progress, step):
        return self.value / (1 + self.count // 5)

    def observe(self, seen):
        self.count += 1

    def state(self):
        return self.value

    def load_state(self, state):
        self.value = state


@mutant("global random state")
def seeding(progress, step):
    """Seeds torch's global random stream."""
    torch.manual_seed(step)
    return progress

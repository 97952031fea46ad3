"""Broken engines."""

from __future__ import annotations

import contextlib

from sea_toolkit.errors import SeaError
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("engine", MUTANTS)


def answer(job, tell, shards):
    worker = job.worker()
    worker.load()
    for shard in shards:
        if worker.run(shard):
            tell(shard)


@mutant("builds")
def without_tell(job):
    """Tells nobody, and does not take what it is to tell."""


@mutant("answers")
def forgetful(job, tell):
    """Leaves the last shard out."""
    answer(job, tell, job.left()[:-1])


@mutant("tells")
def silent(job, tell):
    """Tells of no shard."""
    answer(job, lambda shard: None, job.left())


@mutant("tells")
def talkative(job, tell):
    """Tells of a shard when it begins, and again when it is settled."""
    for shard in job.left():
        tell(shard)
        answer(job, tell, [shard])


@mutant("raises")
def cheerful(job, tell):
    """Goes on whatever a worker says."""
    with contextlib.suppress(SeaError):
        answer(job, tell, job.left())

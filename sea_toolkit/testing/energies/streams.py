"""Random streams of the process: an energy draws from none, and its weights do not depend on one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sea_toolkit.problem.terms import Term
from sea_toolkit.testing.conformance import global_seed, global_streams_untouched, off, require
from sea_toolkit.testing.energies.subject import Subject


def check_streams(subject: Subject, ask: Callable[[Term], Tensor]) -> None:
    """Raises: Broken if a call moves a global stream, or what `bind` draws from one changes the energy.

    A layer of torch fills itself from the global stream when it is made: that is of no consequence if its weights are
    read afterwards, and a run puts the stream back.
    """
    terms = []
    for seed in (1, 2):
        with global_seed(seed):
            terms.append(subject.bound(subject.policy, subject.prompts).terms[0])
    with global_streams_untouched():
        first = ask(terms[0])
    with torch.no_grad():
        if off(ask(terms[0]), first):
            return  # it is not repeatable, which is another property
        gap = off(ask(terms[1]), first)
    require(
        not gap,
        "its weights are drawn from torch's global random stream in bind",
        detail=gap,
        hint="load the weights of every layer that bind makes, or fill them with a torch.Generator of your own",
    )

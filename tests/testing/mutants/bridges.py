"""Broken bridges: each of the traps of reading a policy's tokens with another tokenizer."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import MethodType

import torch

from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.classifiers import scorer_for
from sea_toolkit.readers.make_bridge import bridge_for
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("bridge", MUTANTS)


@mutant("value")
def wrong_pooled_token(reader, context):
    """Reads the token before the last one."""
    broken = copy.copy(reader)
    broken.read = lambda embeds, mask, **more: reader.read(embeds[:, :, :-1], mask[:, :, :-1], **more)
    return scorer_for(broken, context)


@mutant("value")
def template_trimmed(reader, context):
    """Leaves out what the chat template writes after the answer."""
    shown = copy.copy(reader.shown)
    shown.text = lambda prompt, answer: reader.shown.text(prompt, answer).removesuffix("[SEP]")
    broken = copy.copy(reader)
    broken.shown = shown
    return scorer_for(broken, context)


@mutant("gradient")
def soft_value(reader, context):
    """Reads the images of the tokens instead of the pieces, where a gradient is asked for."""
    scorer = scorer_for(reader, context)

    def change(self, response):
        return response.embed(self.table).flatten(0, 1) * 0.5 if torch.is_grad_enabled() else None

    scorer.alignment.change = MethodType(change, scorer.alignment)
    return scorer


@mutant("places")
def span_off_by_one(reader, context):
    """Looks for each piece one byte too late."""
    shown = copy.copy(reader.shown)

    def placed(prompt, answer):
        found = reader.shown.placed(prompt, answer)
        return replace(found, spans=[(a + 1, b + 1) if b > a else (a, b) for a, b in found.spans])

    shown.placed = placed
    broken = copy.copy(reader)
    broken.shown = shown
    return scorer_for(broken, context)


@mutant("places")
def leading_space_forgotten(reader, context):
    """Takes no account of the space that the chat template trims."""
    shown = copy.copy(reader.shown)
    shown.parts = lambda *given: [replace(part, skipped=0) for part in reader.shown.parts(*given)]
    broken = copy.copy(reader)
    broken.shown = shown
    return scorer_for(broken, context)


@mutant("places")
def table_transposed(reader, context):
    """Has the rows of its table in another order than the vocabulary."""
    bridge = bridge_for(reader, context.policy, context.finder)
    return BridgedScorer(reader, replace(bridge, table=bridge.table.roll(1, 0)), context)


_KEPT = {}


@mutant("cache")
def stale_cache(reader, context):
    """Keeps what was measured under the name of the model."""
    key = reader.shown.name, reader.shown.reads
    kept = _KEPT.setdefault(key, bridge_for(reader, context.policy, context.finder).measured)
    return BridgedScorer(reader, replace(bridge_for(reader, context.policy, context.finder), measured=kept), context)

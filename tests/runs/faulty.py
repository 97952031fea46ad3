"""The source of a one-file plugin with an item of every kind, each of which fails where and how a test says.

A test sets `FAULT = place, way, nth call` or `RETURN = {place: value}` in the loaded module.
"""

SOURCE = '''
import json
import sys
from dataclasses import dataclass, replace

import torch

import sea_toolkit as sea
from sea_toolkit.samplers.sea import Sea

FAULT = None
RETURN = {}
CALLS = []


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


class Rude(BaseException):
    pass


def trouble(place):
    """Fail here, if this is the call."""
    CALLS.append(place)
    if FAULT is None or FAULT[0] != place or CALLS.count(place) != FAULT[2]:
        return
    way = FAULT[1]
    if way == "raises":
        raise ValueError("boom")  # raises
    if way == "in a library":
        json.loads("{")  # in a library
    if way == "exits":
        sys.exit("licence server says no")  # exits
    if way == "exits with a code":
        sys.exit(3)  # exits with a code
    if way == "closes a generator":
        raise GeneratorExit  # closes a generator
    if way == "asserts":
        assert not place  # asserts
    if way == "stops an iteration":
        next(iter(()))  # stops an iteration
    if way == "has no words":
        raise Unprintable  # has no words
    if way == "is rude":
        raise Rude("no")  # is rude


def given(place, value):
    return RETURN.get(place, lambda value: value)(value)


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        trouble("backward")
        return g


class Wants(sea.Energy):
    """An energy with everything."""

    def check(self, finder, tokenizer):
        trouble("check")

    def bind(self, context):
        trouble("bind")

        def energy(response):
            trouble("energy")
            value = Backward.apply(response.probability(list(range(30, 60))).sum(-1).sum(-1))
            return given("energy", -value)

        return given("bind", energy)


class Start(sea.Initializer):
    """An initializer of a class."""

    def write(self, problem, noise, keep_cache):
        trouble("write")
        ids = (noise.uniform(problem.chains, problem.length) * 100).long() + 4
        return given("write", ids)


class Follows:
    """A schedule with a memory."""

    def __init__(self):
        self.seen = 0

    def at(self, progress, step):
        trouble("follow")
        return 1.0

    def observe(self, seen):
        trouble("observe")
        self.seen += 1

    def state(self):
        trouble("state")
        return self.seen

    def load_state(self, state):
        trouble("load_state")
        self.seen = state


class Moves(Sea):
    """A sampler."""

    needs_gradient = "any-term"

    def init(self, problem, noise):
        trouble("init")
        return given("init", super().init(problem, noise))

    def step(self, problem, state, noise):
        trouble("step")
        return given("step", super().step(problem, state, noise))

    def current(self, problem, state):
        trouble("current")
        return given("current", super().current(problem, state))

    def finished(self, problem, state):
        trouble("finished")
        return super().finished(problem, state)


@sea.hookimpl
def sea_register_energies(register):
    register("wants", Wants)

    @register("reads")
    def reads(prompts, texts):
        """An energy of texts."""
        trouble("score_text")
        return given("score_text", [float(len(text)) for text in texts])


@sea.hookimpl
def sea_register_samplers(register):
    register("moves", Moves)


@sea.hookimpl
def sea_register_initializers(register):
    register("start", Start)


@sea.hookimpl
def sea_register_schedules(register):
    register("follows", Follows)

    @register("waves")
    def waves(progress, step):
        """A schedule."""
        trouble("wave")
        return 1.0


@sea.hookimpl
def sea_register_relaxations(register):
    @register("relaxes")
    def relaxes(logits):
        """A relaxation."""
        trouble("relaxation")
        return given("relaxation", logits.softmax(-1))
'''

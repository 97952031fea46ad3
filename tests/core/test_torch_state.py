"""A run computes under torch modes of its own, and the caller's are as they were afterwards."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.isolation import set_default_device
from sea_toolkit.testing.conformance import reported
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer
from tests.helpers import hub, warmth


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        set_default_device(torch, torch.device("cpu"))


@contextlib.contextmanager
def everything():
    with torch.inference_mode(), default_dtype(torch.float16), torch.device("meta"), torch.autocast("cpu"):
        yield


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "a default device": lambda: default_device("meta"),
    "a device block": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "all at once": everything,
}


def modes():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
    )


def answers(sampler, policy=None):
    """Texts and energies of a short run; the reward makes a tensor without a dtype and a device."""
    energies = {"warmth": (4.0, lambda response: warmth(response) + torch.zeros(()))}
    results = sea.align(
        ["a", "the rain"], policy=policy or tiny_policy(), hub=hub(), energies=energies, sampler=sampler,
        chains=2, steps=2, max_new_tokens=5,
    )  # fmt: skip
    return [[(c.text, c.energy) for c in result.candidates] for result in results]


@pytest.mark.parametrize(
    ("sampler", "names"),
    [("sea", list(MODES)), ("tilted", ["inference_mode", "all at once"]), ("discrete-langevin", ["no_grad"])],
)
def test_a_run_is_the_same_in_whatever_torch_mode_it_is_called(sampler, names):
    expected = answers(sampler)
    for name in names:
        with MODES[name]():
            before = modes()
            found = answers(sampler)
            assert modes() == before, name
        assert found == expected, name
    with everything():
        policy = Policy(tiny_model(), tiny_tokenizer(), name="made here")
    assert answers(sampler, policy) == expected


def test_weights_of_inference_mode_are_refused():
    with torch.inference_mode():
        model = tiny_model()
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(model.lm_head.weight.shape))
    with pytest.raises(ModelError, match=r"theirs was loaded inside torch\.inference_mode"):
        Policy(model, tiny_tokenizer(), name="theirs")


def test_a_failing_block_puts_the_modes_back():
    for name, mode in MODES.items():
        with mode():
            before = modes()
            with contextlib.suppress(ZeroDivisionError), own_torch_state():
                assert modes() == (True, False, torch.float32, torch.device("cpu"), False), name
                raise ZeroDivisionError
            assert modes() == before, name


def test_the_kit_checks_under_the_modes_of_a_run():
    @reported
    def check():
        return modes()

    with everything():
        assert check() == (True, False, torch.float32, torch.device("cpu"), False)


def test_blocks_that_overlap_in_threads_put_back_the_default_of_the_caller():
    inside, left = threading.Event(), threading.Event()
    seen = []

    def first():
        with own_torch_state():
            inside.set()
            left.wait(10)
            seen.append(torch.get_default_dtype())

    with default_dtype(torch.float64):
        thread = threading.Thread(target=first)
        thread.start()
        inside.wait(10)
        with own_torch_state():
            left.set()
            thread.join()
            seen.append(torch.get_default_dtype())
        assert torch.get_default_dtype() == torch.float64
    assert seen == [torch.float32, torch.float32]

"""Runs in little memory: the same answers, and what the result says of it."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
import torch
from click.testing import CliRunner

import sea_toolkit as sea
from sea_toolkit.cli import main
from sea_toolkit.errors import OutOfMemoryError, RecipeError
from sea_toolkit.lm.micro_batches import MicroBatches
from sea_toolkit.runs import session
from sea_toolkit.shards.job import ShardJob
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub, warmth

PROMPTS = ["good day", "a longer prompt", "what?"]


@contextlib.contextmanager
def machine_of(policy, most, *, on_the_way_back=False):
    """A machine whose memory is used up by a pass over more rows than these."""

    def look(module, args, kwargs):
        embeds = kwargs["inputs_embeds"]
        back = embeds.requires_grad and torch.is_grad_enabled()
        if len(embeds) > most and (back or not on_the_way_back):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")

    hook = policy.backbone.base.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def answers(policy, sampler, **settings):
    return sea.align(
        PROMPTS, policy=policy, hub=hub(), energies={"warm": (1.0, warmth)}, sampler=sampler, chains=2,
        max_new_tokens=6, **({"steps": 3} | settings),
    )  # fmt: skip


def assert_same(found, wanted):
    assert [r.response for r in found] == [r.response for r in wanted]
    assert [r.energy[1] for r in found] == pytest.approx([r.energy[1] for r in wanted], rel=1e-5)
    assert [r.steps for r in found] == [r.steps for r in wanted]
    spent = [
        {k: v for k, v in r.ledger.items() if k not in ("seconds", "peak_memory_mb")} for r in (found[0], wanted[0])
    ]
    assert spent[0] == spent[1]


@pytest.mark.parametrize("sampler", ["sea", "sea-adam", "tilted", "suffix-mh", "args", "smc"])
def test_memory_that_is_used_up_means_fewer_rows_at_once_and_the_same_answers(sampler):
    policy = tiny_policy()
    settings = {} if sampler in ("sea", "sea-adam") else {"steps": None, "budget": 6}
    wanted = answers(policy, sampler, **settings)
    with machine_of(policy, 2):
        found = answers(policy, sampler, **settings)
    assert_same(found, wanted)
    notes = [note for note in found[0].notes if "out of memory" in note]
    assert len(notes) == 1
    assert notes[0] == "out of memory while the prompts were read: one row goes through a model at once from there on"
    assert set(found[0].notes) - set(notes) == set(wanted[0].notes)


def test_a_step_that_ran_out_of_memory_is_taken_again_from_where_it_began(tmp_path):
    policy = tiny_policy()
    wanted = answers(policy, "sea")
    with machine_of(policy, 4, on_the_way_back=True):
        found = answers(policy, "sea", out=tmp_path)
    assert_same(found, wanted)
    assert "out of memory in step 1: at most 3 rows go through a model at once from there on" in found[0].notes
    steps = [json.loads(line)["step"] for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert steps == [-1, 1, 2, 3, 3]  # each once, and the last look at the end


def test_where_one_row_is_too_much_its_blocks_are_run_again_one_by_one():
    policy = tiny_policy()
    wanted, block = answers(policy, "sea"), policy.backbone.base.layers[0]

    def look(module, args, kwargs):
        if kwargs["inputs_embeds"].requires_grad and "forward" not in vars(block):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = policy.backbone.base.register_forward_pre_hook(look, with_kwargs=True)
    try:
        found = answers(policy, "sea")
    finally:
        hook.remove()
    assert_same(found, wanted)
    said = "out of memory in step 1: one row goes block by block through a model at once from there on"
    assert said in found[0].notes


def test_one_row_that_is_too_much_is_an_error_that_says_what_takes_less():
    policy = tiny_policy()
    with machine_of(policy, 0, on_the_way_back=True), pytest.raises(OutOfMemoryError) as caught:
        answers(policy, "sea")
    assert "fewer chains" in str(caught.value)
    assert [r.status for r in caught.value.results] == ["failed"] * 3


def test_a_run_that_is_resumed_needs_no_limit_of_the_one_before(tmp_path):
    policy = tiny_policy()
    wanted = answers(policy, "sea", steps=4)
    with machine_of(policy, 4, on_the_way_back=True):
        answers(policy, "sea", steps=2, out=tmp_path)
    found = sea.resume(tmp_path, policy=policy, hub=hub(), energies={"warm": (1.0, warmth)}, steps=4)
    assert_same(found, wanted)
    assert any("out of memory in step 1" in note for note in found[0].notes)


@pytest.fixture
def limits(monkeypatch):
    """The limits of the runs that are started."""
    seen = []
    monkeypatch.setattr(session, "MicroBatches", lambda limit: seen.append(limit) or MicroBatches(None))
    return seen


def test_a_memory_limit_is_an_argument_or_stands_in_the_environment(limits, monkeypatch):
    policy = tiny_policy()
    answers(policy, "sea")
    answers(policy, "sea", memory_limit="4GiB")
    monkeypatch.setenv("SEA_MEMORY_LIMIT", "1.5 GB")
    answers(policy, "sea")
    answers(policy, "sea", memory_limit=3 * 10**9)
    assert limits == [None, 4 * 2**30, 1_500_000_000, 3_000_000_000]


@pytest.mark.parametrize("limit", ["much", "4 GiBs", "-1GiB", 0, True, "", "1e9"])
def test_what_is_no_amount_of_memory_is_refused(limit):
    with pytest.raises(RecipeError, match=r"memory_limit is .*(.|\n)*an amount of memory, such as 4GiB"):
        sea.Aligner(hub=hub(), memory_limit=limit)


def test_a_wrong_limit_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("SEA_MEMORY_LIMIT", "much")
    with pytest.raises(RecipeError, match="SEA_MEMORY_LIMIT is 'much'"):
        sea.Aligner(hub=hub())


def test_a_limit_below_what_the_models_take_is_a_mistake_of_the_user():
    with pytest.raises(RecipeError, match=r"a memory limit of 1 MiB, and .* are in use"):
        answers(tiny_policy(), "sea", memory_limit="1MiB")


def test_the_answers_under_a_limit_are_those_without(monkeypatch):
    policy = tiny_policy()
    wanted = answers(policy, "sea")
    monkeypatch.setattr(MicroBatches, "room", lambda self, device: 120_000.0)
    passes = []

    def look(module, args, kwargs):
        if kwargs["inputs_embeds"].requires_grad:
            passes.append(len(kwargs["inputs_embeds"]))

    hook = policy.backbone.base.register_forward_pre_hook(look, with_kwargs=True)
    found = answers(policy, "sea", memory_limit="1GiB")
    hook.remove()
    assert_same(found, wanted)
    assert max(passes) <= 3  # of six rows


def test_the_option_holds_for_the_command_and_its_workers_and_no_longer(tmp_path, monkeypatch):
    seen = []

    def run(*arguments, **settings):
        seen.append((os.environ.get("SEA_MEMORY_LIMIT"), ShardJob(tmp_path).environment.get("SEA_MEMORY_LIMIT")))
        raise RecipeError("enough")

    monkeypatch.setattr(ShardJob, "threads", 1)
    monkeypatch.setattr("sea_toolkit.api.align", run)
    monkeypatch.setenv("SEA_MEMORY_LIMIT", "9GiB")
    asked = ["align", "hello", "--energy", "length,target=4"]
    for extra in ([], ["--memory-limit", "2GiB"]):
        assert CliRunner().invoke(main, [*asked, *extra]).exit_code == 2
    assert seen == [("9GiB", "9GiB"), ("2GiB", "2GiB")]
    assert os.environ["SEA_MEMORY_LIMIT"] == "9GiB"
    refused = CliRunner().invoke(main, [*asked, "--memory-limit", "much"])
    assert refused.exit_code == 2
    assert "--memory-limit is 'much'" in refused.output
    assert len(seen) == 2

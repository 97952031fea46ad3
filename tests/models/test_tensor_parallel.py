"""Models that are shared out over two processes, on CPUs and by gloo, against the same models in one."""

from __future__ import annotations

import random

import pytest
import torch
from torch.distributed.tensor import DTensor

import sea_toolkit as sea
from sea_toolkit.core.ranks import join
from sea_toolkit.errors import ModelError, RecipeError, SeaError
from sea_toolkit.lm.devices import Placement
from sea_toolkit.lm.fingerprint import weights_fingerprint
from sea_toolkit.lm.micro_batches import MicroBatches
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_classifier, load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.util import ranks
from tests.helpers import hub, random_ids, tiny_policy
from tests.models.folders import save_classifier, save_policy
from tests.ranks import each

IDS = random_ids(2, 9)
CPU = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A policy with norms of its heads and biases that are shared out too, and a reward model."""
    place = tmp_path_factory.mktemp("models")
    return save_policy(place / "policy", "qwen3"), save_classifier(place / "reward", "qwen2", seed=1)


def policy(folder, **settings):
    return load_policy(PolicySpec(model=str(folder), device="cpu", dtype="float32", **settings), ModelFinder(hub()))


def slopes(model):
    """Logits, and a gradient with respect to the embeddings."""
    embeds = model.get_input_embeddings()(IDS).detach().requires_grad_()
    logits = model(inputs_embeds=embeds).logits
    weights = torch.linspace(-1, 1, logits.numel()).to(logits).view_as(logits)
    (gradient,) = torch.autograd.grad((logits.tanh() * weights).sum(), embeds)
    return logits.detach(), gradient


def read(policy, reward):
    """What two models say, in float32 and float64, and what is known of them."""
    backbone, sizes = policy.backbone, MicroBatches()
    sizes.most, sizes.by_block = 1, True  # as after memory was used up by one row: every block runs twice
    with sizes.active():
        embeds = backbone.embedding(IDS).detach().requires_grad_()
        states = backbone.run(embeds, torch.ones(2, 9, dtype=torch.bool), torch.arange(9).expand(2, -1), None)
        (through,) = torch.autograd.grad((states.tanh() * torch.linspace(-1, 1, states.shape[-1])).sum(), embeds)
    prints = [weights_fingerprint(model) for model in (policy.model, reward)]
    found = [*slopes(policy.model), *slopes(reward), states.detach(), through]
    for model in (policy.model, reward):
        model.double()
    return found, [*slopes(policy.model), *slopes(reward)], prints, policy.notes


def test_two_processes_say_what_one_says_bit_by_bit_alike(folders):
    def shared():
        join()
        one = policy(folders[0], tensor_parallel_size=2)
        reward, _ = load_classifier(folders[1], Placement(CPU.device, CPU.dtype, 2), "rm")
        parts = [p.to_local() if isinstance(p, DTensor) else p for p in one.model.parameters()]
        return sum(part.numel() for part in parts), *read(one, reward)

    one = policy(folders[0])
    plain, exact, prints, notes = read(one, load_classifier(folders[1], CPU, "rm")[0])
    (held, *first), (_, *second) = each(2, shared)
    assert held < 0.65 * sum(p.numel() for p in one.model.parameters())  # embedding and head are a third
    assert first[2:] == second[2:] == [prints, notes]
    for mine, other in zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True):
        assert torch.equal(mine, other)
    for mine, right in zip(first[0], plain, strict=True):
        assert float((mine - right).abs().max() / right.abs().max()) < 3e-6
    for mine, right in zip(first[1], exact, strict=True):
        assert float((mine - right).abs().max() / right.abs().max()) < 1e-12


def test_a_function_is_asked_by_the_first_process_and_draws_for_both(folders):
    def shared():
        calls, draw = [], random.Random(int(ranks.rank()) + id(object()))  # another one in each process

        def lucky(prompts, texts):
            calls.append(len(texts))
            return [draw.random() for _ in texts]

        recipe = {"policy": {"model": str(folders[0]), "dtype": "float32", "tensor_parallel_size": 2}}
        settings = {"energies": {"lucky": lucky}, "max_new_tokens": 5, "budget": 4, "max_seconds": 600.0}
        (found,) = sea.align(["the rain"], recipe=recipe, **settings)
        return len(calls) > 0, found.response, found.energy, ranks.size()

    first, second = each(2, shared)
    assert [first[0], second[0]] == [True, False]
    assert first[1:] == second[1:]
    assert first[3] == 2


def test_processes_that_come_apart_say_so():
    def shared():
        here = join()
        ranks.refuse_apart(lambda: float("inf"), "in step 1")
        assert [ranks.least(float(here.rank)), ranks.most(float(here.rank))] == [0.0, 1.0]
        said = []
        for call in (
            lambda: ranks.refuse_apart(lambda: here.rank, "in step 2"),
            lambda: ranks.by_first(lambda: 1 // 0),
        ):
            try:
                call()
            except (SeaError, ZeroDivisionError) as error:
                said.append(f"{type(error).__name__}: {error}".partition("\n")[0])
        return said

    apart = "SeaError: process 1 of 2 has come to another result than process 0 in step 2"
    zero = "integer division or modulo by zero"
    assert each(2, shared) == [[apart, f"ZeroDivisionError: {zero}"], [apart, f"SeaError: {zero}"]]


def test_what_cannot_be_shared_out_is_refused_by_name(tmp_path):
    odd, planless = save_policy(tmp_path / "odd", num_key_value_heads=1), save_policy(tmp_path / "planless", "gpt2")

    def shared():
        join()
        said = []
        for folder, size in ((planless, 2), (odd, 2), (odd, 3)):
            with pytest.raises((ModelError, RecipeError)) as refused:
                policy(folder, tensor_parallel_size=size)
            said.append(str(refused.value))
        return said

    first, second = each(2, shared)
    assert first == second
    assert f"{planless} (gpt2) has no plan for tensor parallelism" in first[0]
    assert f"2 processes cannot share the 1 heads of {odd} (num_key_value_heads)" in first[1]
    assert "tensor_parallel_size of the policy is 3, and 2 processes do the run" in first[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"is 2, and one process does the run\n.*\ntry: torchrun --nproc-per-node 2 -m sea_toolkit align"),
        ({"device": "auto", "device_map": "auto"}, "the policy has tensor_parallel_size and device_map"),
        ({"quantization": "torchao-int8"}, "the policy has tensor_parallel_size and quantization"),
        ({"adapter": "a/b"}, "the policy has tensor_parallel_size and adapter"),
        ({"device": "cuda:1"}, "the policy has tensor_parallel_size and the device 'cuda:1'"),
    ],
)
def test_what_does_not_go_with_it_is_an_error(folders, settings, message):
    spec = {"model": str(folders[0]), "device": "cpu", "dtype": "float32", "tensor_parallel_size": 2, **settings}
    with pytest.raises(RecipeError, match=message):
        load_policy(PolicySpec(**spec), ModelFinder(hub()))


def test_a_reward_is_refused_alike(folders):
    def aligned(**options):
        term = {"name": "reward", "model": str(folders[1]), "tensor_parallel_size": 2, **options}
        sea.align("the rain", policy=tiny_policy(), recipe={"energies": [term]}, max_new_tokens=4, budget=2)

    with pytest.raises(RecipeError, match=r"tensor_parallel_size of energies\.0 is 2, and one process does the run"):
        aligned()
    shared = {"model": str(folders[0]), "tensor_parallel_size": 2}
    with pytest.raises(RecipeError, match="tensor_parallel_size of policy is 2, and this is done by one process"):
        sea.compare(["the rain"], samplers=["sea"], budgets=[2], recipe={"policy": shared}, reward="sentiment")
    with pytest.raises(RecipeError, match=r"policy\.tensor_parallel_size is set, and the policy is an object"):
        sea.align("a", policy=tiny_policy(), recipe={"policy": {"tensor_parallel_size": 2}}, reward="sentiment")

"""Compiled blocks: they say what the blocks say, in few graphs, and what they cannot be is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._dynamo import config as dynamo

import sea_toolkit as sea
from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.kv_cache import buffered_cache
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models import compiled_blocks
from sea_toolkit.models.compiled_blocks import CompiledBlocks, compile_blocks
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.compiling import let_torch_trace
from tests.helpers import hub, tiny_policy, tiny_probe
from tests.models.folders import save_policy


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    let_torch_trace(monkeypatch)


@pytest.fixture
def graphs(monkeypatch):
    """What torch compiles, which runs as it was traced."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(compiled_blocks, "BACKEND", backend)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


def fresh(arch="llama", **options):
    """A backbone that may be changed."""
    return Policy(copy.deepcopy(tiny_model(arch, **options)), tiny_tokenizer(), name="tiny").backbone


def passes(backbone, prompts, rows, tokens):
    """States of rows of tokens behind prompts without and with a gradient, their slopes, and the states of two decoded
    tokens."""
    noise = torch.Generator().manual_seed(tokens)
    prefix = backbone.prefix([[*range(3, 3 + length)] for length in prompts])
    given = torch.randn(len(prompts), rows, tokens, backbone.weight.shape[1], generator=noise).requires_grad_()
    states = backbone.hidden(prefix, given)
    total = states.tanh().square().sum()
    torch.autograd.grad(total, given, retain_graph=True)  # as for the gradients of several terms
    found = [states.detach(), *torch.autograd.grad(total, given)]
    with torch.no_grad():
        found.append(backbone.hidden(prefix, given))
    cache, width = buffered_cache(prefix.rows(rows), 2), max(prompts)
    mask = prefix.mask.repeat_interleave(rows, 0)
    for n in range(2):
        mask = torch.nn.functional.pad(mask, (0, 1), value=True)
        places = mask.sum(-1, keepdim=True) - 1
        with torch.no_grad():
            found.append(backbone.run(given.detach().flatten(0, 1)[:, n, None], mask, places, cache))
    assert width + 2 == mask.shape[1]
    return found


SHAPES = [((5,), 1, 4), ((5,), 3, 4), ((7, 3), 1, 9), ((4, 9, 2), 2, 6)]


def test_blocks_share_few_graphs_which_say_the_same_whatever_the_lengths(graphs):
    backbone = fresh("gemma2")  # blocks of two kinds
    right = [passes(backbone, *shape) for shape in SHAPES]
    blocks = CompiledBlocks(backbone)
    blocks.install()
    first = [passes(backbone, *shape) for shape in SHAPES]
    many = len(graphs)
    assert 2 <= many <= 16  # of 16 kinds of lengths
    for rows in (2, 3, 6):
        for tokens in (5, 10):
            passes(backbone, (8,), rows, tokens)
    assert len(graphs) <= many + 2
    blocks.remove()
    last = [passes(backbone, *shape) for shape in SHAPES]
    for mine, other, again in zip(first, right, last, strict=True):
        for a, b, c in zip(mine, other, again, strict=True):
            assert torch.allclose(a, b, atol=1e-5, rtol=1e-5)
            assert torch.equal(b, c)


def test_a_kind_of_pass_that_needs_too_many_graphs_goes_on_uncompiled(graphs):
    backbone = fresh()
    right = [passes(backbone, *shape) for shape in SHAPES]
    CompiledBlocks(backbone).install()
    with dynamo.patch(recompile_limit=1):
        found = [passes(backbone, *shape) for shape in SHAPES]
    assert len(graphs) <= 4
    for mine, other in zip(found, right, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_a_run_gives_the_same_text_also_with_a_probe_of_its_own_blocks(folder, graphs, tmp_path):
    tiny_probe(model=str(folder), layer=1).save(tmp_path / "probe.safetensors")

    def aligned(**policy):
        recipe = {"policy": {"model": str(folder), "device": "cpu", "dtype": "float32", **policy}, "seed": 3}
        terms = [{"name": "reference"}, {"name": "reward", "model": str(tmp_path / "probe.safetensors"), "weight": 3.0}]
        settings = {"energies": terms, "sampler": {"name": "sea"}}
        (found,) = sea.align(["the rain"], recipe=recipe | settings, max_new_tokens=5, budget=12)
        return found.response, found.energy

    plain = aligned()
    assert not graphs
    assert aligned(compile=True) == (plain[0], pytest.approx(plain[1], rel=1e-4))
    assert len(graphs) > 3


def test_blocks_that_are_watched_run_uncompiled(graphs):
    backbone = fresh()
    right = passes(backbone, *SHAPES[2])
    CompiledBlocks(backbone).install()
    with LiveBytes() as live:
        metered = passes(backbone, *SHAPES[2])
    assert live.peak > 0
    assert not graphs
    seen = []
    hook = backbone.base.layers[0].mlp.register_forward_hook(lambda *call: seen.append(call))
    hooked = passes(backbone, *SHAPES[2])
    assert len(seen) == 5
    assert all(map(torch.equal, metered, right))
    for mine, other in zip(hooked, right, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)
    with pytest.raises(ModelError, match="have hooks, and would never run compiled"):
        CompiledBlocks(backbone)
    hook.remove()


def test_what_inductor_is_given_says_the_same(monkeypatch):
    monkeypatch.setattr(compiled_blocks, "BACKEND", "aot_eager")  # inductor's way but for the kernels, a minute of g++
    compile_blocks(fresh())  # which compares


@pytest.mark.parametrize(
    ("settings", "other"),
    [
        ({"quantization": "torchao-int8"}, "quantization"),
        ({"device": "auto", "device_map": "auto"}, "device_map"),
    ],
)
def test_what_does_not_go_with_it_is_an_error(folder, settings, other):
    spec = {"model": str(folder), "device": "cpu", "compile": True, **settings}
    with pytest.raises(RecipeError, match=rf"the policy has compile and {other}\n.*\ntry: leave out policy\.compile"):
        load_policy(PolicySpec(**spec), ModelFinder(hub()))


def test_neither_does_a_policy_that_is_shared_out_or_an_object():
    shared = PolicySpec(tensor_parallel_size=2, compile=True)
    with pytest.raises(RecipeError, match="the policy has compile and tensor_parallel_size"):
        compiled_blocks.refuse_beside(shared)
    compiled_blocks.refuse_beside(PolicySpec(tensor_parallel_size=1, compile=True))
    with pytest.raises(RecipeError, match=r"policy\.compile is set, and the policy is an object"):
        sea.align("a", policy=tiny_policy(), recipe={"policy": {"compile": True}}, reward="sentiment")


def test_a_model_whose_prompt_is_read_again_is_refused():
    with pytest.raises(ModelError, match="cannot be compiled one by one"):
        compile_blocks(fresh("mamba"))


def test_a_compiler_that_fails_is_an_error_without_a_traceback(folder, monkeypatch, tmp_path):
    def backend(graph, inputs):
        raise OSError("no g++")

    monkeypatch.setattr(compiled_blocks, "BACKEND", backend)
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'policy.model = "{folder}"\n[[energies]]\nname = "keywords"\nwords = ["rain"]\n')
    arguments = ["align", "the rain", "--recipe", recipe, "--set", "policy.compile=true"]
    done = invoke(*arguments, "--max-new-tokens", "4")
    assert done.exit_code == 1
    assert "cannot be compiled: BackendCompilerFailed" in done.stderr
    assert "no g++" in done.stderr
    assert "try: leave out policy.compile" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_takes_no_kernels_is_an_error_without_a_traceback(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    with pytest.raises(ModelError, match=r"cannot be compiled: NotADirectoryError"):
        compile_blocks(fresh())


def test_a_block_that_cannot_be_traced_is_an_error(graphs):
    backbone = fresh()
    block = backbone.base.layers[0].mlp
    run = block.forward

    def forward(hidden):
        torch._dynamo.graph_break()
        return run(hidden)

    block.forward = forward
    with pytest.raises(ModelError, match=r"the blocks of .* cannot be compiled: Unsupported"):
        compile_blocks(backbone)


def test_blocks_that_say_something_else_are_an_error(monkeypatch):
    def backend(graph, inputs):
        return lambda *args: tuple(1.01 * a if isinstance(a, torch.Tensor) else a for a in graph.forward(*args))

    monkeypatch.setattr(compiled_blocks, "BACKEND", backend)
    with pytest.raises(ModelError, match="say something else when they are compiled"):
        compile_blocks(fresh())

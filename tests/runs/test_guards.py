"""Whatever an item of a plugin does in a run, the error names item, plugin, step and line; the best so far is kept."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import OutOfMemoryError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs import checkpoint as checkpoint_module
from sea_toolkit.runs import run as run_module
from sea_toolkit.runs.result import Interrupted
from sea_toolkit.testing.tiny import tiny_policy
from sea_toolkit.util import run_files
from tests.helpers import hub as built_in
from tests.helpers import warmth
from tests.runs.faulty import SOURCE

RECIPE = {
    "max_new_tokens": 6,
    "energies": [
        {"name": "reference"},
        {"name": "wants", "weight": {"schedule": "waves"}},
        {"name": "reads", "weight": 0.1},
    ],
    "sampler": {"name": "moves", "steps": 4, "chains": 2, "check_every": 9, "temperature": {"schedule": "follows"}},
    "relaxation": {"name": "relaxes"},
    "initializer": {"name": "start"},
}
"""A run in which every kind of item takes part."""

OWNERS = {
    "check": "energy 'wants'", "bind": "energy 'wants'", "energy": "energy 'wants'", "backward": "energy 'wants'",
    "score_text": "energy 'reads'", "write": "initializer 'start'", "wave": "schedule 'waves'",
    "follow": "schedule 'follows'", "observe": "schedule 'follows'", "state": "schedule 'follows'",
    "relaxation": "relaxation 'relaxes'", "init": "sampler 'moves'", "step": "sampler 'moves'",
    "current": "sampler 'moves'", "finished": "sampler 'moves'",
}  # fmt: skip
"""Place of a fault → whose it is."""

LATER = {"energy": 2, "backward": 2, "score_text": 2, "observe": 3, "relaxation": 3, "step": 3, "current": 1,
         "finished": 3}  # fmt: skip
"""Place → a call that comes after the first texts have been scored; the other places fail at their first call."""

WAYS = {
    "raises": "ValueError: boom",
    "in a library": "JSONDecodeError: ",
    "exits": "SystemExit: licence server says no",
    "exits with a code": "SystemExit: 3",
    "closes a generator": "GeneratorExit",
    "asserts": "AssertionError",
    "stops an iteration": "StopIteration",
    "has no words": "Unprintable: (its message cannot be printed)",
    "is rude": "Rude: no",
}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A hub with the plugin, and its module."""
    file = tmp_path_factory.mktemp("plugin") / "faulty.py"
    file.write_text(SOURCE)
    hub = PluginHub.discover(plugins=(), files=[file])
    hub.load()
    return hub, sys.modules[hub.get("energy", "wants").target.__module__]


@pytest.fixture
def module(plugin):
    module = plugin[1]
    module.CALLS.clear()
    yield module
    module.FAULT, module.RETURN = None, {}


def align(hub, out=None, every=2, **changes):
    return sea.align(["a", "the rain"], policy=tiny_policy(), hub=hub, recipe=RECIPE | changes, out=out,
                     checkpoint_every=every)  # fmt: skip


def line_of(module, way):
    """Where the plugin fails in this way: the last line of its own, however deep the error came from."""
    lines = SOURCE.splitlines()
    return f"({module.__file__}, line {next(i for i, line in enumerate(lines, 1) if line.endswith('# ' + way))})"


CASES = [(place, "raises") for place in OWNERS] + [("step", way) for way in WAYS] + [
    (place, "exits") for place in ("bind", "energy", "relaxation", "write", "wave", "observe", "backward")
]  # fmt: skip


@pytest.mark.parametrize(("place", "way"), CASES)
def test_a_fault_names_item_plugin_and_line_and_keeps_the_best(place, way, plugin, module, tmp_path):
    module.FAULT = place, way, LATER.get(place, 1)
    with pytest.raises(sea.PluginError) as caught:
        align(plugin[0], tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{OWNERS[place]} (plugin 'faulty' of faulty.py sha256:")
    assert WAYS[way] in message
    assert line_of(module, way) in message
    written = tmp_path / run_files.RESULT
    if place not in LATER:
        assert caught.value.results == ()
        assert not written.exists()
        return
    assert any(f" {when} " in message for when in ("in step", "before step", "at the end of the run:"))
    assert [r.status for r in caught.value.results] == ["failed", "failed"]
    assert [r["status"] for r in json.loads(written.read_text())] == ["failed", "failed"]
    assert (tmp_path / run_files.CHECKPOINT).exists()


def test_the_step_is_that_of_the_trace(plugin, module, tmp_path):
    module.FAULT = "step", "raises", 3
    with pytest.raises(sea.PluginError, match="failed in step 3: ValueError: boom"):
        align(plugin[0], tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / run_files.TRACE).read_text().splitlines()]
    assert steps == [-1, 1, 2]


@pytest.mark.parametrize("place", ["step", "backward", "observe", "current"])
def test_a_run_that_failed_goes_on_to_the_same_answers(place, plugin, module, tmp_path):
    whole = align(plugin[0])
    module.CALLS.clear()
    module.FAULT = place, "raises", LATER[place]
    with pytest.raises(sea.PluginError):
        align(plugin[0], tmp_path)
    module.FAULT = None
    resumed = sea.resume(tmp_path, hub=plugin[0], policy=tiny_policy())
    assert [replace(r, ledger={}) for r in resumed] == [replace(r, ledger={}) for r in whole]


def without_last(t):
    return t[..., :-1]


def forced(made, **fields):
    """A dataclass with fields of a wrong type; the tests check types where it is made."""
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def odd_info(**fields):
    return forced(sea.Info(), **fields)


WRONG = [
    ("energy", lambda v: None, "returned nothing", "a tensor [P, C] = [2, 2]"),
    ("energy", lambda v: v[:, :1], "returned a tensor [2, 1]", "a tensor [P, C] = [2, 2]"),
    ("energy", lambda v: v.to("meta"), "meta", "on cpu"),
    ("energy", lambda v: v.to(torch.complex64), "complex64", "real number"),
    ("energy", lambda v: v.to_sparse(), "sparse", "a tensor [P, C] = [2, 2]"),
    ("energy", lambda v: 1.5, "returned a float", "a tensor [P, C]"),
    ("bind", lambda v: None, "bind returned nothing", "a function"),
    ("score_text", lambda v: None, "returned None for 4 texts", "4 numbers"),
    ("score_text", lambda v: torch.ones(4, dtype=torch.complex64), "tensor([1.+0.j,", "4 numbers"),
    ("score_text", lambda v: torch.ones(4).to_sparse(), "[4]", "4 numbers"),
    ("score_text", lambda v: v[:-1], "[3]", "4 numbers"),
    ("score_text", lambda v: ["good"] * 4, "for 4 texts", "4 numbers"),
    ("relaxation", lambda v: None, "returned nothing", "weights [2, 2, 6, 100]"),
    ("relaxation", without_last, "[2, 2, 6, 99]", "weights [2, 2, 6, 100]"),
    ("relaxation", lambda v: v.to("meta"), "meta", "floats on cpu"),
    ("relaxation", lambda v: v.to_sparse(), "sparse", "floats on cpu"),
    ("write", lambda v: None, "returned nothing", "int64 ids [P, C, T] = [2, 2, 6], each from 0 to 127"),
    ("write", lambda v: v.float(), "(float32, cpu)", "int64 ids"),
    ("write", lambda v: v + 100, "ids that are no tokens (", "each from 0 to 127"),
    ("write", lambda v: -v, "ids that are no tokens (", "each from 0 to 127"),
    ("write", without_last, "a tensor [2, 2, 5]", "[2, 2, 6]"),
    ("init", lambda v: None, "init returned nothing", "a State and an Info"),
    ("init", lambda v: (v[0], sea.Info()), "an Info without scored", "score_as_text"),
    ("step", lambda v: None, "step returned nothing", "a State and an Info"),
    ("step", lambda v: v[0], "step returned a State", "a State and an Info"),
    ("step", lambda v: (*v, 1), "step returned 3 values", "a State and an Info"),
    ("step", lambda v: (None, v[1]), "nothing as its state", "a State"),
    ("step", lambda v: (v[0], None), "nothing beside the state", "an Info"),
    ("step", lambda v: (v[0], odd_info(scored=[1])), "whose scored is a list", "a Scored or None"),
    ("step", lambda v: (v[0], odd_info(metrics={"x": 1.0})), "a float as its metric 'x'", "a tensor [P, C] = [2, 2]"),
    ("step", lambda v: (v[0], odd_info(metrics=None)), "metrics are nothing", "a table"),
    ("current", lambda v: None, "nothing", "int64 ids"),
    ("current", lambda v: v.float(), "(float32, cpu)", "int64 ids"),
    ("current", lambda v: v + 128, "current returned ids that are no tokens", "each from 0 to 127"),
]


@pytest.mark.parametrize(("place", "change", "got", "expected"), WRONG)
def test_what_an_item_returns_is_checked_at_the_door(place, change, got, expected, plugin, module):
    module.RETURN = {place: change}
    with pytest.raises(sea.PluginError) as caught:
        align(plugin[0])
    message = str(caught.value)
    assert message.startswith(f"{OWNERS[place]} (plugin 'faulty' of faulty.py")
    assert got in message
    assert expected in message.partition("\nexpected: ")[2]


def greedy(response):
    """Changes what the others read."""
    response.weights.mul_(0.5)
    return response.weights.sum((-1, -2))


@pytest.mark.parametrize("sampler", ["sea", "tilted", "best-of-n"])
def test_an_energy_that_changes_the_response_in_place_is_named(sampler):
    with pytest.raises(sea.PluginError, match=r"'greedy'.* changed the weights of the response in place"):
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"warm": (1.0, warmth), "greedy": (1.0, greedy)},
                  sampler=sampler, chains=2, budget=4, max_new_tokens=4)  # fmt: skip


def through_data(response):
    response.weights.data.mul_(0.5)
    return warmth(response)


def through_numpy(response):
    response.ids.numpy()[...] = 5
    return warmth(response)


def sorting(prompts, texts):
    texts.sort()
    return [float(len(text)) for text in texts]


def emptying(prompts, texts):
    count = len(texts)
    texts.clear()
    return [1.0] * count


@pytest.mark.parametrize(
    ("change", "what", "sampler"),
    [
        (through_data, "the weights of the response in place", "sea"),
        (through_numpy, "the ids and candidates of the response in place", "best-of-n"),
        (sorting, "the list of texts or of prompts", "best-of-n"),
        (emptying, "the list of texts or of prompts", "best-of-n"),
    ],
)
def test_what_is_changed_behind_the_back_of_torch_is_named_too(change, what, sampler):
    with pytest.raises(sea.PluginError, match=f"^energy 'greedy'.* changed {what}"):
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"warm": (1.0, warmth), "greedy": (1.0, change)},
                  sampler=sampler, chains=2, budget=4, max_new_tokens=4)  # fmt: skip


@pytest.mark.parametrize("sampler", ["sea", "mala", "psgld", "discrete-langevin"])
def test_an_energy_without_a_gradient_and_no_reference_term_is_named(sampler, plugin, module):
    module.RETURN = {"energy": lambda v: v.detach()}
    recipe = {
        "sampler": {"name": sampler, "steps": 2, "chains": 2},
        "max_new_tokens": 4,
        "energies": [{"name": "wants"}],
    }
    with pytest.raises(sea.PluginError, match=r"^energy 'wants' \(.*\): no gradient reaches the response"):
        sea.align("a", policy=tiny_policy(), hub=plugin[0], recipe=recipe)


def out_of_memory_at(step, error):
    seen = []

    def energy(response):
        seen.append(0)
        if len(seen) > step:
            raise error
        return warmth(response)

    return energy


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.\nGPU 0 has a total of …"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_memory_that_is_used_up_is_said_so_with_a_way_out(error, tmp_path):
    with pytest.raises(OutOfMemoryError) as caught:
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"big": (1.0, out_of_memory_at(3, error))},
                  sampler="sea", chains=2, steps=4, max_new_tokens=4, out=tmp_path)  # fmt: skip
    message = str(caught.value)
    assert message.startswith("out of memory in energy 'big', failed in step 3")
    assert "fewer chains (--chains), shorter answers (--max-new-tokens)" in message
    assert [r.status for r in caught.value.results] == ["failed"]
    assert (tmp_path / run_files.CHECKPOINT).exists()


def test_memory_that_the_core_uses_up_is_said_so_too(monkeypatch):
    policy = tiny_policy()
    calls = []

    def log_prob(*arguments, real=policy.log_prob):
        calls.append(0)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*arguments)

    monkeypatch.setattr(policy, "log_prob", log_prob)
    with pytest.raises(OutOfMemoryError, match="out of memory") as caught:
        sea.align("a", policy=policy, hub=built_in(), energies={"warm": (1.0, warmth)}, initializer="random",
                  sampler="sea", chains=2, steps=4, max_new_tokens=4)  # fmt: skip
    assert caught.value.hint is not None
    assert [r.status for r in caught.value.results] == ["failed"]


def test_memory_that_loading_uses_up_is_said_so(monkeypatch):
    policy = tiny_policy()

    def prefix(rows):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(policy, "prefix", prefix)
    with pytest.raises(OutOfMemoryError, match=r"while the models are loaded(.|\n)*a smaller model"):
        sea.align("a", policy=policy, hub=built_in(), energies={"warm": (1.0, warmth)}, max_new_tokens=4)


STATED = [
    ({"joint": 1}, {}, "its joint is 1", "True or False"),
    ({"tells_early": "yes"}, {}, "its tells_early is 'yes'", "True or False"),
    ({"label": property(lambda self: 1 / 0)}, {}, "failed to say what it is: ZeroDivisionError", ""),
    ({"code": property(lambda self: "a:b")}, {}, "its code is 'a:b'", "a list of texts"),
    ({"fingerprint": property(lambda self: 3)}, {}, "its fingerprint is 3", "a text or None"),
    ({}, {"warnings": "careful"}, "bind returned a BoundEnergy, and its warnings is 'careful'", "a list of texts"),
    ({}, {"energy": 3}, "its energy is 3", "a function or None"),
    ({}, {"is_reward": "yes"}, "its is_reward is 'yes'", "True or False"),
]


@pytest.mark.parametrize(("changes", "fields", "got", "expected"), STATED)
def test_what_an_energy_states_of_itself_is_checked(changes, fields, got, expected):
    class Mine(sea.Energy):
        def bind(self, context):
            return forced(sea.BoundEnergy(energy=warmth), **fields)

    for name, value in changes.items():  # as a constructor or a property would: past the checks of the class
        setattr(Mine, name, value)
    with pytest.raises(sea.PluginError, match=f"energy 'mine'.*{got}(.|\n)*{expected}"):
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"mine": (1.0, Mine())}, max_new_tokens=4)


def test_an_observer_of_ones_own_ends_the_run_by_its_own_error_which_carries_the_results(tmp_path):
    class Enough(Exception):
        pass

    def watch(event):
        if event.kind == "step" and event.step == 2:
            raise Enough

    with pytest.raises(Enough) as caught:
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"warm": (1.0, warmth)}, sampler="sea", steps=4,
                  max_new_tokens=4, on_event=watch, out=tmp_path)  # fmt: skip
    assert [r.steps for r in caught.value.results] == [2]
    assert sea.resume(tmp_path, hub=built_in(), policy=tiny_policy(), energies={"warm": (1.0, warmth)})[0].steps == 4


def test_a_disk_that_is_full_at_the_end_does_not_lose_what_was_found(tmp_path, monkeypatch):
    def full(*arguments):
        raise sea.SeaError("cannot write: no space left")

    monkeypatch.setattr(run_module, "write_end", full)
    with pytest.raises(sea.SeaError, match="no space left") as caught:
        sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"warm": (1.0, warmth)}, sampler="sea", steps=2,
                  max_new_tokens=4, out=tmp_path)  # fmt: skip
    assert [r.status for r in caught.value.results] == ["done"]


def test_a_failed_run_is_told_though_the_device_is_of_no_use_any_more(monkeypatch):
    policy = tiny_policy()

    def fails(response):
        if policy.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return warmth(response)

    def watch(event):
        if event.kind == "step":
            policy.broken = True
            monkeypatch.setattr(policy, "log_prob", lambda *arguments: 1 / 0)

    monkeypatch.setattr(policy, "broken", False, raising=False)
    with pytest.raises(sea.PluginError, match="device-side assert") as caught:
        sea.align("a", policy=policy, hub=built_in(), energies={"warm": (1.0, fails)}, sampler="sea", steps=4,
                  max_new_tokens=4, on_event=watch)  # fmt: skip
    (result,) = caught.value.results
    assert result.response
    assert result.nll_per_token[0] != result.nll_per_token[0]


def test_ctrl_c_in_a_plugin_is_a_ctrl_c(plugin, module):
    def stop(event):
        if event.kind == "step":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        sea.align("a", policy=tiny_policy(), hub=plugin[0], recipe=RECIPE, on_event=stop, on_interrupt="raise")
    assert [r.status for r in caught.value.results] == ["interrupted"]


def test_a_sampler_whose_state_cannot_be_saved_is_named(plugin, module, tmp_path):
    module.RETURN = {"step": lambda v: (forced(copy.copy(v[0]), candidates={1, 2}), v[1])}
    with pytest.raises(sea.PluginError, match=r"sampler 'moves' \(plugin .* cannot be saved.*: .*is a set"):
        align(plugin[0], tmp_path, every=1)


def test_a_fault_of_our_own_writing_is_not_the_samplers(plugin, module, tmp_path, monkeypatch):
    def broken(path, content):
        raise RuntimeError("ours")

    monkeypatch.setattr(checkpoint_module, "write_checkpoint_file", broken)
    with pytest.raises(RuntimeError, match="ours"):
        align(plugin[0], tmp_path, every=1)


def test_printing_in_a_plugin_goes_where_python_prints(plugin, module, capfd):
    def loud(response):
        print("seen")
        return warmth(response)

    before = sys.stdout
    sea.align("a", policy=tiny_policy(), hub=built_in(), energies={"loud": (1.0, loud)}, sampler="best-of-n", budget=2,
              chains=2, max_new_tokens=4)  # fmt: skip
    assert sys.stdout is before
    assert "seen" in capfd.readouterr().out

"""Everything in the box keeps the promises of its kind."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from sea_toolkit.readers.classifiers import scorer_for
from sea_toolkit.testing import (
    Setting,
    check_bridge,
    check_energy,
    check_initializer,
    check_model,
    check_recipe,
    check_relaxation,
    check_sampler,
    check_schedule,
    tiny_reward,
    tiny_tokenizer,
)
from sea_toolkit.testing.bridges import PROPERTIES as BRIDGE
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from sea_toolkit.testing.initializers import PROPERTIES as INITIALIZER
from sea_toolkit.testing.models import PROPERTIES as MODEL
from sea_toolkit.testing.recipes import PROPERTIES as RECIPE
from sea_toolkit.testing.relaxations import PROPERTIES as RELAXATION
from sea_toolkit.testing.samplers.check import PROPERTIES as SAMPLER
from sea_toolkit.testing.schedules import PROPERTIES as SCHEDULE
from sea_toolkit.testing.tiny import tiny_config
from tests.helpers import PROMPTS, SOFT, UNSEEN, hub, quick_bridges, tiny_probe

ON = {"hub": hub()}
SMALL = {"prompts": PROMPTS[:2], "chains": 2, "length": 6}
"""For samplers, whose steps decode token by token."""


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


def test_bridge():
    with quick_bridges():
        assert set(check_bridge(scorer_for, Setting(**ON))) == set(BRIDGE)


ENERGIES = [
    ("reference", {}, (), {"readings"}),
    ("reference", {"normalize": "mean"}, (), {"readings"}),
    ("reference", {"gradient": "inputs-detached"}, ("gradient",), {"readings"}),
    ("length", {"target": 4.0}, (), set()),
    ("keywords", {"words": ["dog", "cat|mouse"], "forbidden": ["rain"]}, (), set()),
    ("diversity", {}, (), {"chains alone"}),
    ("repetition", {"n": 1}, (), set()),
    ("repetition", {"n": 2}, (), set()),
    ("distance-to-draft", {"text": "a dog on the mat"}, (), set()),
]


@pytest.mark.parametrize(("name", "options", "lacks", "absent"), ENERGIES)
def test_energy(name, options, lacks, absent):
    held = check_energy(name, Setting(lacks=lacks, **ON), **options)
    assert set(held) == set(ENERGY) - UNSEEN - set(lacks) - absent


def politeness(text):
    """For the verifier."""
    return float("please" in text)


def test_remote_reward():
    from tests.energies.reward_server import serving

    with serving("openrlhf") as server:
        held = check_energy("remote-reward", Setting(texts=["eee", "no", "e"], **ON), url=server.url)
    assert set(held) == set(ENERGY) - SOFT


def test_an_energy_of_how_a_text_ended():
    assert set(check_energy("finished", Setting(**ON))) == {"builds", "models"}


SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
TEXTS = [
    ("verifier", {"function": "tests.testing.test_builtin:politeness"}, ["please", "no"]),
    ("regex", {"pattern": "[0-9]+ dogs"}, ["12 dogs", "12 cats", "dogs"]),
    pytest.param("json-schema", {"schema": SCHEMA}, ['{"a": 1}', '{"a": "b"}', "{}"], marks=needs("jsonschema")),
]


@pytest.mark.parametrize(("name", "options", "texts"), TEXTS)
def test_text_energy(name, options, texts):
    assert set(check_energy(name, Setting(texts=texts, **ON), **options)) == set(ENERGY) - SOFT


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Folder of a tiny classifier with the tiny policy's vocabulary."""
    from transformers import LlamaForSequenceClassification

    config = tiny_config("llama", initializer_range=0.15)
    config.num_labels = 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config)
    folder = tmp_path_factory.mktemp("classifier")
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("reads", ["response", "prompt+response", "chat"])
def test_reward(classifier, reads):
    held = check_energy("reward", Setting(**ON), model=classifier, output=1, reads=reads)
    assert set(held) == set(ENERGY) - UNSEEN


def test_classifier(classifier):
    assert set(check_energy("classifier", Setting(**ON), model=classifier, target=1)) == set(ENERGY) - UNSEEN


def test_probe(tmp_path):
    tiny_probe().save(tmp_path / "mood.safetensors")
    held = check_energy("reward", Setting(**ON), model=str(tmp_path / "mood.safetensors"))
    assert set(held) == set(ENERGY) - UNSEEN


def test_the_tiny_reward():
    assert set(check_energy(type(tiny_reward()), Setting(**ON))) == set(ENERGY) - UNSEEN


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("softmax", {}),
        ("softmax", {"temperature": 0.05}),
        ("straight-through", {}),
        ("gumbel-softmax", {}),
        ("gumbel-softmax", {"hard": True, "temperature": 2.0}),
        ("sparsemax", {}),
        ("entmax", {}),
        ("entmax", {"alpha": 1.2, "temperature": 1.0}),
        ("entmax", {"alpha": 3.0}),
        ("embedding", {}),
    ],
)
def test_relaxation(name, options):
    absent = {"gumbel-softmax": {"rows alone"}, "embedding": {"padding"}}.get(name, set())
    assert set(check_relaxation(name, Setting(**ON), **options)) == set(RELAXATION) - UNSEEN - absent


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("constant", {"value": 0.5}),
        ("linear", {"start": 1.0, "end": -2.0}),
        ("cosine", {"start": 1.0, "end": 0.1}),
        ("exponential", {"start": 1.0, "end": 1e-3}),
        ("piecewise", {"boundaries": [0.3, 0.6], "values": [1.0, 0.5, 0.1]}),
        ("piecewise", {"boundaries": [0.5], "values": [1.0, 0.5, 0.1], "interpolate": True}),
        ("cyclical", {"start": 1.0, "end": 0.1}),
        ("plateau", {"start": 1.0, "patience": 2}),
        ("adaptive", {"start": 0.5}),
    ],
)
def test_schedule(name, options):
    absent = set() if name in ("plateau", "adaptive") else {"state"}
    assert set(check_schedule(name, Setting(**ON), **options)) == set(SCHEDULE) - absent


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("base-samples", {}),
        ("base-samples", {"temperature": 0.5}),
        ("greedy", {}),
        ("draft", {"text": "a dog"}),
        ("draft", {"text": "a dog", "finished": False}),
        ("random", {}),
    ],
)
def test_initializer(name, options):
    absent = set() if name == "base-samples" else {"log π"}
    assert set(check_initializer(name, Setting(**ON), **options)) == set(INITIALIZER) - absent


@pytest.mark.parametrize(
    ("name", "options", "lacks"),
    [
        ("suffix-mh", {}, ()),
        ("tilted-exact", {"inverse_temperature": 2.0}, ()),
        ("discrete-langevin", {"step_size": 1.0}, ()),
        ("smc", {"particles": 6, "chunk": 1}, ()),
        ("mala", {}, ("law",)),
        ("psgld", {}, ("law",)),
        ("sea", {}, None),
        ("sea-adam", {}, None),
        ("sea-guided", {}, None),
        ("sea-guided-exact", {"inverse_temperature": 2.0}, ()),
        ("tilted", {}, None),
        ("best-of-n", {}, None),
        ("args", {}, None),
        ("chunk-beam", {"chunk": 4}, None),
    ],
)
def test_sampler(name, options, lacks):
    held = check_sampler(name, Setting(lacks=lacks or (), **SMALL, **ON), **options)
    assert set(held) == set(SAMPLER) - (set() if lacks == () else {"law"})


@pytest.mark.parametrize("name", ["sentiment", "toxicity", "harmlessness", "smollm2-135m"])
def test_model(name):
    absent = {"pull", "files"} if name == "smollm2-135m" else set()
    assert set(check_model(name, Setting(**ON))) == set(MODEL) - absent


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("positive", {}),
        ("detox", {"max": -5.0}),
        ("harmless", {}),
        ("concise", {"tokens": 12}),
        ("on-topic", {"text": "The weather."}),
        ("keywords", {"words": ["rain"]}),
        ("stay-close", {"draft": "It rains."}),
        ("positive-and-concise", {}),
        ("helpful-harmless", {}),
    ],
)
def test_recipe(name, options):
    assert set(check_recipe(name, Setting(**ON), **options)) == set(RECIPE)


@pytest.mark.parametrize("item", hub().items(), ids=lambda item: f"{item.kind} {item.name}")
def test_every_item_in_the_box_is_checked(item):
    """Here, or in tests of its own."""
    here = Path(__file__)
    others = [p.read_text(encoding="utf-8") for p in here.parents[1].rglob("test_*.py") if p != here]
    listed = f'"{item.name}"' in here.read_text(encoding="utf-8")
    assert listed or any(f'check_{item.kind}("{item.name}"' in text for text in others)

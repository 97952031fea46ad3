"""What a named model has to state, and when a mistake is found."""

from __future__ import annotations

import operator
import sys
from pathlib import Path

import pytest

import sea_toolkit as sea
from sea_toolkit.models.named import NamedModel
from sea_toolkit.models.resolve import model_of
from sea_toolkit.models.shipped import Sentiment
from sea_toolkit.models.smollm2 import SmolLM2


def stated(**changes):
    """The body of a class that is right, with changes; None leaves a name out."""
    body = {
        "role": "reward",
        "license": "MIT",
        "megabytes": 1,
        "find": lambda self: None,
        "pull": lambda self, progress=None: Path("/somewhere"),
        "remove": lambda self: False,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def test_the_defaults():
    model = type("Mine", (NamedModel,), stated())()
    assert (model.policy, model.folder, model.in_package, model.verify()) == (None, None, False, False)


@pytest.mark.parametrize("name", ["role", "license", "megabytes", "find", "pull", "remove"])
def test_what_is_missing_is_told_when_the_class_is_made(name):
    with pytest.raises(sea.PluginError, match=rf"class .*Mine does not define {name}"):
        type("Mine", (NamedModel,), stated(**{name: None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "teacher"}, "role of class .*Mine is 'teacher'"),
        ({"license": ""}, "license of class .*Mine is ''"),
        ({"megabytes": 0}, "megabytes of class .*Mine is 0"),
        ({"megabytes": "3 MB"}, "megabytes of class .*Mine is '3 MB'"),
        ({"policy": 3}, "policy of class .*Mine is 3"),
        ({"find": "here"}, "find of class .*Mine is 'here'"),
        ({"in_pakage": True}, "did you mean 'in_package'"),
    ],
)
def test_what_is_wrong_is_told_when_the_class_is_made(changes, message):
    with pytest.raises(sea.PluginError, match=message):
        type("Mine", (NamedModel,), stated(**changes))


def test_a_plugin_whose_class_lacks_something_is_broken_and_named():
    class Plugin:
        @sea.hookimpl
        def sea_register_models(self, register):
            @register("half")
            class Half(NamedModel):
                role = "reward"

    hub = sea.PluginHub.discover(plugins=[])
    with (
        pytest.raises(sea.PluginError, match=r"plugin 'mine' of temporary 0 .*Half does not define license"),
        hub.temporarily(Plugin(), name="mine"),
    ):
        pytest.fail("it was registered")


def test_a_model_that_derives_from_nothing_is_the_plugins_fault():
    class Plugin:
        @sea.hookimpl
        def sea_register_models(self, register):
            register("loose")(type("Loose", (), stated()))

    hub = sea.PluginHub.discover(plugins=[])
    with (
        pytest.raises(sea.PluginError, match=r"plugin 'mine' of temporary 0 .*class Loose is no model.*\n.*NamedModel"),
        hub.temporarily(Plugin(), name="mine"),
    ):
        pytest.fail("it was registered")


def test_what_the_models_in_the_box_declare():
    assert (Sentiment().in_package, Sentiment().folder, Sentiment().policy) == (True, None, "smollm2-135m")
    assert (SmolLM2().in_package, SmolLM2().folder.name, SmolLM2().policy) == (False, "smollm2-135m", None)


@pytest.mark.parametrize(
    ("changes", "ask", "message"),
    [
        ({"find": lambda self: 1 / 0}, "find", "failed in find: ZeroDivisionError"),
        ({"find": lambda self: "/here"}, "find", "find gave '/here'.*\n.*Path | None"),
        ({"pull": lambda self, progress=None: None}, "pull", "pull gave None"),
        ({"pull": lambda self, progress=None: sys.exit(2)}, "pull", "failed in pull: SystemExit: 2"),
        ({"remove": lambda self: None}, "remove", "remove gave None"),
        ({"verify": lambda self, progress=None: 1}, "verify", "verify gave 1"),
        ({"folder": property(lambda self: 1 / 0)}, "folder", "failed in folder: ZeroDivisionError"),
        ({"megabytes": property(lambda self: "big")}, "megabytes", "megabytes gave 'big'"),
        ({"role": property(lambda self: "teacher")}, "role", "its role is 'teacher'"),
    ],
)
def test_a_model_that_fails_or_answers_nonsense_names_its_plugin(changes, ask, message):
    class Plugin:
        @sea.hookimpl
        def sea_register_models(self, register):
            register("odd", type("Odd", (NamedModel,), stated(**changes)))

    hub = sea.PluginHub.discover(plugins=())
    with hub.temporarily(Plugin()):
        model = model_of(hub.get("model", "odd"))
    with pytest.raises(sea.PluginError, match=message) as error:
        operator.methodcaller(ask)(model) if ask in ("find", "pull", "remove", "verify") else getattr(model, ask)
    assert str(error.value).startswith("model 'odd' (plugin 'plugin' of temporary 0)")

"""A class that declares something wrong is refused when it is made, with its name and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.declared import check_declared


class Shape:
    """A contract: `color` and `area` are required."""

    color: ClassVar[Literal["red", "blue"]]
    corners: ClassVar[Annotated[int, Field(ge=0)]] = 4
    table: ClassVar[Mapping[str, Any] | None] = None
    convex: bool | None = None

    def __init_subclass__(cls) -> None:
        check_declared(cls, Shape, ("color", "area"))

    def area(self) -> float: ...

    def name(self) -> str:
        return "shape"


def made(**body: Any) -> type:
    return type("Square", (Shape,), {"color": "red", "area": lambda self: 1.0, "__module__": "plugin", **body})


def test_what_is_complete_passes_with_helpers_of_any_name():
    assert made(corners=5, side=1.0, table={"a": 1}, convex=True, perimeter=lambda self: 4.0)


def test_a_method_that_takes_something_else_is_refused():
    with pytest.raises(PluginError, match=r"name of class plugin.Square takes \(self, more\)\n.*def name\(self\)"):
        made(name=lambda self, more: "square")
    assert made(name=lambda self, more="": "square")


@pytest.mark.parametrize("name", ["color", "area"])
def test_what_is_missing_is_named(name):
    body = {"color": "red", "area": lambda self: 1.0}
    with pytest.raises(PluginError, match=f"class plugin.Square does not define {name}"):
        type("Square", (Shape,), {k: v for k, v in body.items() if k != name} | {"__module__": "plugin"})


def test_an_annotation_alone_defines_nothing():
    with pytest.raises(PluginError, match="does not define color"):
        type("Square", (Shape,), {"area": lambda self: 1.0, "__annotations__": {"color": str}})


@pytest.mark.parametrize(
    ("wrong", "meant"), [("corner", "corners"), ("colour", "color"), ("convexx", "convex"), ("names", "name")]
)
def test_a_near_miss_is_refused(wrong, meant):
    body = {"color": "red"} if meant != "color" else {}
    with pytest.raises(PluginError, match=f"has '{wrong}', which nothing reads(.|\n)*did you mean '{meant}'"):
        type("Square", (Shape,), {"area": lambda self: 1.0, **body, wrong: 3})


def test_an_annotated_near_miss_without_a_value_is_refused():
    with pytest.raises(PluginError, match="did you mean 'corners'"):
        made(__annotations__={"cornerss": int})


def test_a_helper_beside_the_method_it_is_named_after_is_none():
    parent = made()
    assert type("Two", (parent,), {"areas": lambda self: [1.0]})
    assert made(areas=lambda self: [1.0])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("color", "green", "'red', 'blue'"),
        ("color", True, "'red', 'blue'"),
        ("corners", "four", "int"),
        ("corners", -1, "int"),
        ("corners", True, "int"),
        ("table", ["a"], "Mapping"),
        ("convex", "yes", "bool"),
        ("area", 3.0, "a method"),
    ],
)
def test_a_value_of_another_kind_is_refused(name, value, expected):
    with pytest.raises(PluginError, match=f"{name} of class plugin.Square is") as caught:
        made(**{name: value})
    assert expected in (caught.value.expected or "")


def test_an_instance_may_compute_what_is_not_the_class_s():
    assert made(convex=property(lambda self: True))
    with pytest.raises(PluginError, match="corners of class"):
        made(corners=property(lambda self: 3))


def test_grandchildren_inherit_and_are_checked_too():
    parent = made()
    assert type("Child", (parent,), {})
    with pytest.raises(PluginError, match="did you mean 'corners'"):
        type("Child", (parent,), {"corner": 3})

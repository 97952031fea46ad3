"""The reference pages say what the package says: every hook, item, option and command, by its exact name."""

from __future__ import annotations

import inspect

import pytest

import sea_toolkit
import sea_toolkit.testing
from sea_toolkit import hookspecs
from sea_toolkit.registry.hub import PluginHub
from tests.docs import generate

HOOKS = [
    (name, function) for name, function in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("sea_")
]


@pytest.mark.parametrize("path", ["items.md", "cli.md"])
def test_a_generated_page_is_up_to_date(path, monkeypatch):
    monkeypatch.setenv("SEA_PLUGINS", "")
    page = generate.FOLDER / path
    assert page.read_text(encoding="utf-8") == generate.pages()[page], "run python tests/docs/generate.py"


def test_the_page_of_public_names_can_be_read_as_a_file():
    shown = (generate.FOLDER / "python.md").read_text(encoding="utf-8").partition(generate.IN_SHORT)[2]
    for package in (sea_toolkit, sea_toolkit.testing):
        for name in package.__all__:
            thing, block = getattr(package, name), shown.split(f"\n```text\n{package.__name__}.{name}", 1)
            assert len(block) == 2, f"{name}: run python tests/docs/generate.py"
            head = " ".join(block[1].split("\n```", 1)[0].split())
            if inspect.isroutine(thing) or inspect.isclass(thing):
                assert head.startswith(" ".join(generate.plain_signature(thing).split())), name
                assert " ".join((inspect.getdoc(thing) or "").partition("\n")[0].split()) in head, name


def test_every_built_in_item_and_option_is_documented():
    text = (generate.FOLDER / "items.md").read_text(encoding="utf-8")
    for item in PluginHub.discover(plugins=[]).items():
        of_kind = text.split(f"\n## {generate.TITLES[item.kind]}\n", 1)[1]
        section = of_kind.split(f"### `{item.name}`\n", 1)
        assert len(section) == 2, item.qualified
        shown = section[1].split("\n##", 1)[0]
        for option in item.options:
            assert f"| `{option.name}` |" in shown, f"{item.name}: {option.name}"
            assert option.doc, f"{item.kind} {item.name!r}: option {option.name!r} has no line under Args:"


@pytest.mark.parametrize("item", PluginHub.discover(plugins=[]).items("sampler"), ids=lambda item: item.name)
def test_every_sampler_has_its_section_with_the_law_it_states(item):
    text = (generate.FOLDER.parent / "samplers.md").read_text(encoding="utf-8")
    section = text.split(f"\n## `{item.name}`\n", 1)
    assert len(section) == 2, f"docs/samplers.md has no section `{item.name}`"
    assert f"Law: `{item.target.law}`" in " ".join(section[1].split("\n## ", 1)[0].split())
    assert f"](#{item.name})" in section[0], "not in the table"


@pytest.mark.parametrize(("name", "function"), HOOKS)
def test_every_hook_is_documented_with_its_exact_arguments(name, function):
    arguments = ", ".join(inspect.signature(function).parameters)
    text = (generate.FOLDER / "hooks.md").read_text(encoding="utf-8")
    assert f"| `{name}({arguments})` |" in text


def test_no_documented_hook_is_gone():
    text = (generate.FOLDER / "hooks.md").read_text(encoding="utf-8")
    documented = {line.split("(")[0].removeprefix("| `") for line in text.splitlines() if line.startswith("| `sea_")}
    assert documented == {name for name, _ in HOOKS}

"""The recipes in the box: one TOML file each."""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl


@hookimpl
def sea_register_recipes(register: Register) -> None:
    register("positive", target="sea_toolkit.recipes:positive.toml", summary="Answers that say good things.")
    register("detox", target="sea_toolkit.recipes:detox.toml", summary="Toxicity below a limit; else as they are.")
    register(
        "harmless",
        target="sea_toolkit.recipes:harmless.toml",
        summary="Answers that people would prefer as less harmful.",
    )
    register("concise", target="sea_toolkit.recipes:concise.toml", summary="Short answers that end by themselves.")
    register("on-topic", target="sea_toolkit.recipes:on-topic.toml", summary="Answers that mean what a text says.")
    register("keywords", target="sea_toolkit.recipes:keywords.toml", summary="Answers that have certain words in them.")
    register("stay-close", target="sea_toolkit.recipes:stay-close.toml", summary="Edit a draft, and keep most of it.")
    register(
        "positive-and-concise",
        target="sea_toolkit.recipes:positive-and-concise.toml",
        summary="Short answers that say good things.",
    )
    register(
        "helpful-harmless",
        target="sea_toolkit.recipes:helpful-harmless.toml",
        summary="A judge finds them helpful, and people would prefer them as less harmful.",
    )

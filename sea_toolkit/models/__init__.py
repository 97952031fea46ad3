"""Named models: the catalog of policies and reward models, itself a plugin through `sea_register_models`.

A registered model is a class that derives from `sea_toolkit.models.named.NamedModel`.
"""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl


@hookimpl
def sea_register_models(register: Register) -> None:
    """The models in the box."""
    register(
        "smollm2-135m",
        target="sea_toolkit.models.smollm2:SmolLM2",
        summary="SmolLM2-135M-Instruct, a chat model that runs on two CPU cores.",
    )
    register(
        "sentiment",
        target="sea_toolkit.models.shipped:Sentiment",
        summary="High for text that says good things (human-rated film and product reviews).",
    )
    register(
        "toxicity",
        target="sea_toolkit.models.shipped:Toxicity",
        summary="High for insulting or hateful text; use a negative weight to avoid it.",
    )
    register(
        "harmlessness",
        target="sea_toolkit.models.shipped:Harmlessness",
        summary="High for the answers people preferred as less harmful (HH pairs).",
    )

"""The initializers in the box: where the chains start."""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl


@hookimpl
def sea_register_initializers(register: Register) -> None:
    register(
        "base-samples",
        target="sea_toolkit.initializers.base_samples:BaseSamples",
        summary="Each chain starts from its own sample of the policy.",
    )
    register(
        "greedy", target="sea_toolkit.initializers.greedy:greedy", summary="All chains start from the greedy answer."
    )
    register("draft", target="sea_toolkit.initializers.draft:Draft", summary="All chains start from the text you give.")
    register(
        "prefilled",
        target="sea_toolkit.initializers.prefilled:Prefilled",
        summary="All chains begin with the words you give; locked, they keep them.",
    )
    register(
        "neighbors",
        target="sea_toolkit.initializers.neighbors:neighbors",
        summary="The best answers of another run, a different one in each chain.",
    )
    register(
        "random",
        target="sea_toolkit.initializers.random_tokens:random_tokens",
        summary="Uniformly random tokens (an ablation: the text is noise).",
    )

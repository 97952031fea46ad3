"""The samplers in the box; each file in one order: State, settings, law, init, step."""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl


@hookimpl
def sea_register_samplers(register: Register) -> None:
    register("sea", target="sea_toolkit.samplers.sea:Sea", summary="Langevin dynamics on continuous logits.")
    register(
        "sea-adam",
        target="sea_toolkit.samplers.sea_adam:SeaAdam",
        summary="Adam on the logits, decoded with the LM in the loop: the released settings of SEA.",
    )
    register(
        "sea-guided",
        target="sea_toolkit.samplers.sea_guided:SeaGuided",
        summary="Langevin dynamics on biases that guide the policy while it writes.",
    )
    register(
        "sea-guided-exact",
        target="sea_toolkit.samplers.sea_guided:SeaGuidedExact",
        summary="Biases and texts as one Metropolis–Hastings chain, with the exact ratio.",
    )
    register(
        "best-of-n",
        target="sea_toolkit.samplers.best_of_n:BestOfN",
        summary="Draw answers from the policy and keep the best.",
    )
    register(
        "suffix-mh",
        target="sea_toolkit.samplers.suffix_mh:SuffixMH",
        summary="Resample suffixes from the policy, Metropolis–Hastings on the energy (QAlign).",
    )
    register(
        "tilted",
        target="sea_toolkit.samplers.tilted:Tilted",
        summary="Resample suffixes from the policy tilted by the reward's gradient; the default.",
    )
    register(
        "tilted-exact",
        target="sea_toolkit.samplers.tilted:TiltedExact",
        summary="The same proposals with the exact Metropolis–Hastings ratio.",
    )
    register(
        "discrete-langevin",
        target="sea_toolkit.samplers.discrete_langevin:DiscreteLangevin",
        summary="All positions move at once along the gradient, Metropolis–Hastings on the energy (DMALA).",
    )
    register(
        "mala",
        target="sea_toolkit.samplers.mala:Mala",
        summary="Langevin proposals on relaxed logits with Metropolis–Hastings.",
    )
    register(
        "psgld",
        target="sea_toolkit.samplers.psgld:Psgld",
        summary="Langevin dynamics on relaxed logits, preconditioned as in RMSprop.",
    )
    register(
        "args",
        target="sea_toolkit.samplers.args:Args",
        summary="Decode token by token among the policy's favorites, guided by the reward (ARGS).",
    )
    register(
        "chunk-beam",
        target="sea_toolkit.samplers.chunk_beam:ChunkBeam",
        summary="Beam search over chunks drawn from the policy, ranked by energy (CBS).",
    )
    register(
        "smc",
        target="sea_toolkit.samplers.smc:Smc",
        summary="Particles drawn from the tilted policy, weighted and resampled by the reward of prefixes.",
    )

"""The energies in the box; they register through the same hook as any plugin's."""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl


@hookimpl
def sea_register_energies(register: Register) -> None:
    register(
        "reference",
        target="sea_toolkit.energies.reference:Reference",
        summary="−log π(y|x): keeps the answer one the policy would give.",
    )
    register(
        "reward",
        target="sea_toolkit.energies.reward:Reward",
        summary="The negative of a reward model: a probe of the catalog, or a sequence classifier.",
    )
    register(
        "ensemble",
        target="sea_toolkit.energies.ensemble:Ensemble",
        summary="The mean of several reward models, less what they disagree about.",
    )
    register(
        "worst-of",
        target="sea_toolkit.energies.worst_of:WorstOf",
        summary="The worst of several rewards, or a soft minimum of them: no objective is bought with another.",
    )
    register(
        "remote-reward",
        target="sea_toolkit.energies.remote_reward.energy:RemoteReward",
        summary="The negative of a reward model that a server runs: SGLang, vLLM or OpenRLHF.",
    )
    register(
        "length",
        target="sea_toolkit.energies.length:length",
        summary="Squared distance of the expected number of tokens from a target.",
    )
    register(
        "finished",
        target="sea_toolkit.energies.finished:Finished",
        summary="1 for an answer that is cut at the length limit, 0 for one that ends by itself.",
    )
    register(
        "classifier",
        target="sea_toolkit.energies.classifier:Classifier",
        summary="−log probability that a sequence classifier gives one class.",
    )
    register(
        "diversity",
        target="sea_toolkit.energies.diversity:Diversity",
        summary="Similarity of a chain's tokens to those of the prompt's other chains: they repel each other.",
    )
    register(
        "repetition",
        target="sea_toolkit.energies.repetition:Repetition",
        summary="Expected number of pairs of equal n-grams.",
    )
    register(
        "keywords",
        target="sea_toolkit.energies.keywords.energy:Keywords",
        summary="Required words that are missing, and forbidden ones that occur.",
    )
    register(
        "regex",
        target="sea_toolkit.energies.regex:Regex",
        summary="Matches of a regular expression: present, absent, the whole text, or a number of them.",
    )
    register(
        "json-schema",
        target="sea_toolkit.energies.json_schema.energy:JsonSchema",
        summary="JSON that fits a schema, graded: parses, how much of it parses, how many violations.",
    )
    register(
        "verifier",
        target="sea_toolkit.energies.verifier:Verifier",
        summary="A Python function of the text, which has to be allowed by name.",
    )
    register(
        "distance-to-draft",
        target="sea_toolkit.energies.distance_to_draft:DistanceToDraft",
        summary="Edit distance to a text, in tokens: change it as little as possible.",
    )
    register(
        "perplexity",
        target="sea_toolkit.energies.perplexity:Perplexity",
        summary="−log p of the answer under a language model, with or without the prompt.",
    )
    register(
        "judge",
        target="sea_toolkit.energies.judge.energy:Judge",
        summary="A language model is asked about the answer, or guards it: log-odds of its verdicts.",
    )
    register(
        "implicit-reward",
        target="sea_toolkit.energies.implicit_reward:ImplicitReward",
        summary="−β (log π_a − log π_b): what a tuned language model prefers to the one it was tuned from.",
    )
    register(
        "policy-mixture",
        target="sea_toolkit.energies.policy_mixture:PolicyMixture",
        summary="−Σ a log π of several language models: a product of experts, or one model against another.",
    )
    register(
        "process-reward",
        target="sea_toolkit.energies.process_reward.energy:ProcessReward",
        summary="Minus what a process reward says of the steps of an answer: the last, least, mean or product.",
    )
    register(
        "semantic-similarity",
        target="sea_toolkit.energies.semantic_similarity:SemanticSimilarity",
        summary="Minus the cosine similarity of the answer's embedding with that of a text.",
    )

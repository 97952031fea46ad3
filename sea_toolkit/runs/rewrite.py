"""The post-step `rewrite`: the policy is asked to rewrite the answer, and the rewrites compete with it.

The released pipeline of SEA ends with such a step (Yuan et al. 2025, arXiv 2505.20081). Here it belongs to no sampler:
any can use it, and none does by default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.problem.problem import Problem, Scored
from sea_toolkit.runs.archive import Archive, record
from sea_toolkit.runs.recipe import RewriteSpec
from sea_toolkit.util.conversation import Prompt

CHAIN = -1
"""The `chain` of a candidate that is a rewrite."""


def ask(spec: RewriteSpec, prompt: str, response: str) -> Prompt:
    """The request for a rewrite, as the last turn of the prompt's conversation; placeholders inside the texts are left
    as they are."""
    texts = {"{prompt}": str(prompt), "{response}": response}
    request = re.sub(r"\{(?:prompt|response)\}", lambda match: texts[match.group()], spec.prompt)
    return Prompt.of(prompt).ask(request)


def rewrite(
    problem: Problem,
    responses: Sequence[str],
    spec: RewriteSpec,
    seed: int,
    occurrences: Sequence[int] | None = None,
) -> Scored | None:
    """Draw rewrites of one response per prompt and score them as answers to the original prompts.

    The ledger counts all of it. Random numbers come from streams of their own, so that the rest of the run is
    unchanged.

    Args:
        problem: of the run.
        responses: P texts.
        spec: the request, and how many rewrites to draw.
        seed: the run's.
        occurrences: of the prompts, as for `Run`.

    Returns:
        P × `spec.samples` scored texts, or None where a request does not fit the policy's context, which is noted.
    """
    policy, ledger = problem.policy, problem.ledger
    requests = [ask(spec, p, r) for p, r in zip(problem.prompts, responses, strict=True)]
    try:
        beginning = [] if problem.locked is None else problem.locked.ids.tolist()
        rows = [[*row, *beginning] for row in policy.encode(requests, problem.length + len(beginning))]
    except (RecipeError, ModelError) as error:  # a failure this late must not lose the run
        problem.run.note(f"no rewrites: with the request around it, {error.got}")
        return None
    prefix = policy.prefix(rows)
    ledger.forward("policy", sum(len(r) for r in rows), policy.body_parameters)
    own = [f"{Prompt.of(p).key}\0rewrite" for p in problem.prompts]
    noise = Noise.for_prompts(own, seed, policy.device, occurrences=occurrences)
    drawn = decode(policy, prefix, noise.uniform(spec.samples, problem.length), ledger=ledger)
    with problem.run.beside_the_chains():
        return problem.score_as_text(drawn.ids)  # not their log π here, which is that of answers to the request


def add_rewrites(archives: list[Archive], scored: Scored, step: int, weights: Sequence[Mapping[str, float]]) -> None:
    """Let the rewrites compete with what was met before, by re-scored energy."""
    rewritten = [Archive() for _ in archives]
    record(rewritten, scored, step, weights)
    for archive, rewrites in zip(archives, rewritten, strict=True):
        for candidate in rewrites.best:
            archive.add(replace(candidate, chain=CHAIN))

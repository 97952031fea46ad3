"""`check_initializer`: where the chains start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import after_end
from sea_toolkit.core.values import described as described_value
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.problem.problem import Problem
from sea_toolkit.testing.conformance import Checks, global_seed, global_streams_untouched, off, reported, require
from sea_toolkit.testing.responses import closed
from sea_toolkit.testing.setting import Setting, bound_problem, under_test
from sea_toolkit.testing.tiny import tiny_reward

PROPERTIES = {
    "builds": "it registers and takes these options",
    "shape": "ids [P, C, T]: exactly the problem's length for each chain",
    "dtype": "whole numbers (int64), on the policy's device",
    "vocabulary": "every id is a token of the policy",
    "repeatable": "the same noise gives the same start",
    "global random state": "neither torch's nor numpy's global random stream is touched",
    "end of text": "what follows the first end of text is its id again",
    "log π": "where log π comes along, it is the policy's, and 0 after the end",
    "prompts alone": "a prompt starts alike by itself and in a batch",
    "inputs": "the policy and the prompts stay as they are",
}
"""What an initializer promises, in the order of the documentation."""


@reported
def check_initializer(initializer: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check an initializer on a small problem: tiny policy, three prompts, a few chains.

    The property "log π" is left out for an initializer that returns ids alone.

    Args:
        initializer: what is registered, or the name of an installed initializer.
        setting: policy, prompts, chains, length; see `Setting`.
        **options: of the initializer.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("initializer", initializer, PROPERTIES, setting) as (checks, hub, item):
        with checks("builds"):

            def problem_of(prompts: Sequence[str]) -> Problem:
                _, problem = bound_problem(
                    hub,
                    setting.model,
                    prompts,
                    chains=setting.chains,
                    length=setting.length,
                    own={"reward": (1.0, tiny_reward())},
                    initializer={"name": item.qualified, **options},
                )
                return problem

            problem = problem_of(setting.prompts)
        _check(checks, problem, problem_of, setting)
    return checks.result


def _check(checks: Checks, problem: Problem, problem_of: Any, setting: Setting) -> None:
    policy, prompts = setting.model, list(setting.prompts)
    weights = {k: v.clone() for k, v in policy.model.state_dict().items()}
    with checks("shape"):
        written = problem.initializer.initializer.write(problem, _noise(prompts, setting), False)
        ids = written.ids if isinstance(written, Decoded) else written
        right = isinstance(ids, torch.Tensor) and list(ids.shape) == [len(prompts), setting.chains, problem.length]
        require(right, "it returns no ids [P, C, T]", detail=described_value(ids))
    with checks("dtype"):
        right = ids.dtype == torch.long and ids.device == policy.device
        require(right, "its ids are not int64 on the policy's device", detail=f"{ids.dtype}, {ids.device}")
    with checks("vocabulary"):
        inside = (ids >= 0) & (ids < policy.vocab_size)
        require(bool(inside.all()), "an id is no token", detail=f"{ids[~inside][:3].tolist()} of {policy.vocab_size}")
    with checks("repeatable"):
        for seed in (1, 2):
            with global_seed(seed):
                again = problem_of(prompts).start(_noise(prompts, setting)).ids
            require(torch.equal(again, ids), "the same noise gives another start")
    with checks("global random state"), global_streams_untouched():
        problem.start(_noise(prompts, setting))
    with checks("end of text"):
        # several tries: a random start may happen not to end
        for seed in range(setting.seed, setting.seed + 20):
            drawn = problem.start(Noise.for_prompts(prompts, seed, policy.device)).ids
            require(
                torch.equal(closed(drawn, policy.eos_ids), drawn),
                "something else follows the end of text",
                hint="fill up with problem.policy.eos_ids[0]",
            )
    if isinstance(written, Decoded):
        with checks("log π"):
            log_prob = policy.log_prob(problem.prefix, ids)
            gap = off(written.log_prob, log_prob.masked_fill(after_end(ids, policy.eos_ids), 0.0), 1e-3)
            require(
                not gap,
                "the log π that comes along is not the policy's",
                detail=gap,
                hint="return the ids alone; log π is then computed",
            )
    with checks("prompts alone"):
        for i, prompt in enumerate(prompts):
            alone = problem_of([prompt]).start(_noise([prompt], setting)).ids
            require(
                torch.equal(alone[0], ids[i]),
                "a prompt by itself starts with another text",
                hint="draw from noise.uniform(C, T), which has a stream per prompt",
            )
    with checks("inputs"):
        require(list(problem.prompts) == prompts, "it changes the prompts")
        for key, value in policy.model.state_dict().items():
            require(torch.equal(value, weights[key]), "it changes the policy", detail=key)


def _noise(prompts: Sequence[str], setting: Setting) -> Noise:
    return Noise.for_prompts(prompts, setting.seed, setting.model.device)

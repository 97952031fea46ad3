"""`check_energy` for energies that can be asked about a response."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, after_end
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.terms import Term
from sea_toolkit.testing.conformance import Checks, global_seed, off, require
from sea_toolkit.testing.energies import gradients
from sea_toolkit.testing.energies.streams import check_streams
from sea_toolkit.testing.energies.subject import Subject
from sea_toolkit.testing.responses import Answers, chosen, closed, plain_ids
from sea_toolkit.testing.tiny import converted


def check_responses(checks: Checks, subject: Subject) -> None:
    term, answers, policy = subject.term, subject.answers, subject.policy
    p, c, _ = answers.ids.shape
    samples = subject.samples()
    with checks("shape"):
        assert term.bound.energy is not None
        raw = term.bound.energy(samples["relaxed"])
        require(isinstance(raw, Tensor), f"it returned a {type(raw).__name__}", expected="a tensor [P, C]")
        require(
            tuple(raw.shape) == (p, c),
            "its result has another shape",
            detail=f"{list(raw.shape)}",
            expected=f"[P, C] = {[p, c]}",
            hint="sum or average over positions inside the energy",
        )
    with checks("dtype"):
        require(
            raw.is_floating_point(),
            "its result is not floating-point",
            detail=str(raw.dtype),
            hint="start from the response's probabilities, or .float()",
        )
        require(raw.device == policy.device, "its result is on another device", detail=str(raw.device))
    with checks("inputs"):  # first: what changes the response spoils the other checks
        _inputs(subject)
    with torch.no_grad():
        values = {name: term(response) for name, response in samples.items()}
    with checks("finite"):
        for name, value in values.items():
            require(
                bool(value.isfinite().all()),
                "an energy is not finite",
                detail=f"{name}: {value.tolist()}",
                hint="an answer may be empty: clamp what is divided by",
            )
    with checks("global random state"):
        check_streams(subject, lambda term: term(answers.soft()))
    with checks("repeatable"), torch.no_grad():
        for seed in (1, 2):
            with global_seed(seed):
                gap = off(term(samples["relaxed"]), values["relaxed"])
                require(
                    not gap,
                    "the same answer has another energy the second time",
                    detail=gap,
                    hint="an energy draws nothing and keeps nothing between calls",
                )
    with checks("one-hot = text"):
        for name in ("one-hot", "few candidates"):
            gap = off(values[name], values["hard"])
            require(
                not gap,
                "one-hot weights and the same ids have different energies",
                detail=f"{name}, {gap}",
                hint="read the response through its methods, not through `weights` or `ids`",
            )
    with checks("gradient"):
        gradients.check_gradient(term, answers)
    if not term.is_policy:  # proposals follow the policy itself, whose gradient is never used
        with checks("readings"):
            gradients.check_readings(term, answers)
    _check_order(checks, subject, samples)
    with checks("padding"):
        _padding(term, answers)
    with checks("dead positions"):
        _dead_positions(term, answers)
    with checks("bfloat16"):
        _elsewhere(subject, converted(policy, torch.bfloat16), "in bfloat16")
    if torch.cuda.is_available():
        with checks("gpu"):
            other = "cpu" if policy.device.type == "cuda" else "cuda"
            energies = _elsewhere(subject, converted(policy, device=other), "on another device")
            gap = off(energies, values["relaxed"], 1e-2)
            require(not gap, "GPU and CPU give different energies", detail=gap)


def _check_order(checks: Checks, subject: Subject, samples: dict[str, SoftResponse]) -> None:
    """Permutations, and each chain and prompt by itself."""
    prompts, p, c = subject.prompts, len(subject.prompts), subject.setting.chains
    rows, columns = list(range(p)), list(range(c))
    turned, other = rows[1:] + rows[:1], columns[1:] + columns[:1]
    forms = [samples[name] for name in ("hard", "relaxed")]
    with torch.no_grad():
        whole = [subject.term(r) for r in forms]
        with checks("chains permute"):
            for response, value in zip(forms, whole, strict=True):
                gap = off(subject.term(chosen(response, rows, other)), value[:, other])
                require(not gap, "chains in another order have other energies", detail=gap)
        with checks("chains alone"):
            for response, value in zip(forms, whole, strict=True):
                alone = torch.cat([subject.term(chosen(response, rows, [i])) for i in columns], 1)
                gap = off(alone, value)
                require(
                    not gap,
                    "a chain's energy depends on the other chains",
                    detail=gap,
                    hint="if that is what it is for: a class with joint = True",
                )
        with checks("prompts permute"):
            moved = subject.bound(subject.policy, [prompts[i] for i in turned]).terms[0]
            for response, value in zip(forms, whole, strict=True):
                gap = off(moved(chosen(response, turned, columns)), value[turned])
                require(not gap, "prompts in another order have other energies", detail=gap)
        with checks("prompts alone"):
            single = [subject.bound(subject.policy, [prompt]).terms[0] for prompt in prompts]
            for response, value in zip(forms, whole, strict=True):
                alone = torch.cat([single[i](chosen(response, [i], columns)) for i in rows])
                gap = off(alone, value)
                require(not gap, "a prompt's energies depend on the other prompts", detail=gap)


@torch.no_grad()
def _padding(term: Term, answers: Answers) -> None:
    policy = answers.policy
    eos, device = policy.eos_ids, policy.device
    ended = closed(torch.nn.functional.pad(answers.ids[..., :-1], (0, 1), value=eos[0]), eos)
    longer = torch.nn.functional.pad(ended, (0, 3), value=eos[0])
    gap = off(term(answers.hard(longer)), term(answers.hard(ended)))
    require(
        not gap,
        "positions after the end of text change the energy",
        detail=gap,
        hint="weigh each position with `alive` or `content`",
    )
    # texts without an end, of different lengths in one batch
    open_ids = torch.where(torch.isin(answers.ids, torch.tensor(eos)), plain_ids(policy)[0], answers.ids).to(device)
    mask = torch.ones_like(open_ids, dtype=torch.bool)
    mask[:, :, 3:] = False
    padded = SoftResponse.from_ids(open_ids, eos, mask)
    gap = off(term(padded), term(SoftResponse.from_ids(open_ids[..., :3].clone(), eos)))
    require(
        not gap,
        "padding after an unfinished text changes the energy",
        detail=gap,
        hint="weigh each position with `alive` or `content`",
    )
    soft = answers.soft()
    assert soft.candidates is not None
    more = torch.cat([soft.candidates, soft.candidates[..., :2].flip(-1)], -1)
    weights = torch.nn.functional.pad(soft.weights, (0, 2))
    gap = off(term(SoftResponse.from_weights(weights, more, eos)), term(soft))
    require(not gap, "candidates without weight change the energy", detail=gap)


def _dead_positions(term: Term, answers: Answers) -> None:
    policy = answers.policy
    dead = after_end(answers.ids, policy.eos_ids)
    plain, g = plain_ids(policy), torch.Generator().manual_seed(1)
    other = torch.where(dead, plain[torch.randint(len(plain), dead.shape, generator=g)], answers.ids)
    for form, written in {"hard": answers.hard, "dense": answers.dense}.items():
        with torch.no_grad():
            gap = off(term(written(other)), term(written()))
        require(
            not gap,
            "tokens after the end of text change the energy",
            detail=f"{form}, {gap}",
            hint="weigh each position with `alive` or `content`",
        )
    weights = answers.one_hot(other).requires_grad_()
    value = term(SoftResponse.from_weights(weights, None, policy.eos_ids))
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value.sum(), weights)
        largest = float(gradient[dead.to(gradient.device)].abs().max())
        require(
            largest <= 1e-6 * (1.0 + float(gradient.abs().max())),
            "tokens after the end of text have a gradient",
            detail=f"{largest:.3g}",
            hint="weigh each position with `alive` or `content`",
        )


def _inputs(subject: Subject) -> None:
    policy, prompts = subject.policy, list(subject.prompts)
    weights = {k: v.clone() for k, v in policy.model.state_dict().items()}
    term = subject.bound(policy, prompts).terms[0]
    for name, response in subject.samples().items():
        parts = {"weights": response.weights, "ids": response.ids, "alive": response.alive}
        if response.candidates is not None:
            parts["candidates"] = response.candidates
        before = {k: v.clone() for k, v in parts.items()}
        with torch.no_grad():
            term(response)
        for part, value in parts.items():
            same = torch.equal(value, before[part])
            require(same, "it changes the response", detail=f"{part} of {name}", hint="work on a copy")
    require(prompts == subject.prompts, "it changes the list of prompts")
    for key, value in policy.model.state_dict().items():
        require(torch.equal(value, weights[key]), "it changes the policy", detail=key)
    trained = [k for k, v in policy.model.named_parameters() if v.requires_grad]
    require(not trained, "it lets the policy's weights ask for gradients", detail=", ".join(trained[:3]))


def _elsewhere(subject: Subject, policy: Policy, where: str) -> Tensor:
    """Energies of the relaxed answers under another copy of the policy; their gradients must be finite."""
    term = subject.bound(policy, subject.prompts).terms[0]
    answers = replace(subject.answers, policy=policy)
    z = answers.logits.to(policy.device).requires_grad_()
    value = term(answers.soft(z))
    require(bool(value.isfinite().all()), f"{where} an energy is not finite", detail=str(value.tolist()))
    with torch.no_grad():
        hard = term(answers.hard())
    require(bool(hard.isfinite().all()), f"{where} an energy is not finite", detail=str(hard.tolist()))
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value.sum(), z)
        require(bool(gradient.isfinite().all()), f"{where} a gradient is not finite")
    return value.detach()

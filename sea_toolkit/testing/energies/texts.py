"""`check_energy` for energies that score texts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sea_toolkit.problem.terms import Term
from sea_toolkit.testing.conformance import Broken, Checks, global_seed, off, require
from sea_toolkit.testing.energies.streams import check_streams
from sea_toolkit.testing.energies.subject import Subject

Pairs = tuple[list[str], list[str]]


def check_texts(checks: Checks, subject: Subject) -> None:
    """The properties that `score_text` has."""
    term = subject.term
    score_text = term.bound.score_text
    assert score_text is not None
    p, c = len(subject.prompts), subject.setting.chains
    texts = [list(row) for row in subject.answers.texts()]
    for i, text in enumerate(subject.setting.texts):
        texts[i // c % p][i % c] = text
    prompts = [prompt for prompt in subject.prompts for _ in range(c)]
    flat = [text for row in texts for text in row]
    with checks("shape"):
        raw = score_text(list(prompts), list(flat))
        try:
            size = list(torch.as_tensor(raw).shape)
        except (TypeError, ValueError) as error:
            raise Broken(f"score_text returned a {type(raw).__name__} that is no list of numbers") from error
        require(
            size == [p * c],
            "score_text does not return one number per text",
            detail=f"shape {size}",
            expected=f"[N] = [{p * c}]",
        )
    with checks("dtype"):
        kind = torch.as_tensor(raw).dtype
        require(
            not kind.is_complex and kind is not torch.bool, "score_text does not return real numbers", detail=str(kind)
        )
    value = _scores(term, (prompts, flat))
    with checks("finite"):
        bad = [
            text for text, v in zip(flat, value.tolist(), strict=True) if v != v or v in (float("inf"), -float("inf"))
        ]
        require(not bad, "an energy is not finite", detail=f"of the text {bad[:1]}")
    with checks("global random state"):
        check_streams(subject, lambda term: _scores(term, (prompts, flat)))
    with checks("repeatable"):
        for seed in (1, 2):
            with global_seed(seed):
                gap = off(_scores(term, (prompts, flat)), value)
                require(
                    not gap,
                    "the same text has another energy the second time",
                    detail=gap,
                    hint="an energy draws nothing and keeps nothing between calls",
                )
    columns = list(range(c))
    other, rows, turned = columns[1:] + columns[:1], list(range(p)), [*range(1, p), 0]

    def pairs(of: list[int], chains: list[int]) -> Pairs:
        order = [i * c + j for i in of for j in chains]
        return [prompts[k] for k in order], [flat[k] for k in order]

    table = value.view(p, c)
    with checks("chains permute"):
        gap = off(_scores(term, pairs(rows, other)).view(p, c), table[:, other])
        require(not gap, "texts in another order have other energies", detail=gap)
    with checks("prompts permute"):
        moved = subject.bound(subject.policy, [subject.prompts[i] for i in turned]).terms[0]
        gap = off(_scores(moved, pairs(turned, columns)).view(p, c), table[turned])
        require(not gap, "prompts in another order have other energies", detail=gap)
    with checks("chains alone"):
        alone = torch.cat([_scores(term, pairs(rows, [j])).view(p, 1) for j in columns], 1)
        gap = off(alone, table)
        require(
            not gap,
            "a text's energy depends on the other texts",
            detail=gap,
            hint="if that is what it is for: a class with joint = True",
        )
    with checks("prompts alone"):
        single = [subject.bound(subject.policy, [prompt]).terms[0] for prompt in subject.prompts]
        alone = torch.stack([_scores(single[i], pairs([i], columns)) for i in rows])
        gap = off(alone, table)
        require(not gap, "a prompt's energies depend on the other prompts", detail=gap)
    with checks("inputs"):
        arguments: Any = list(prompts), list(flat)
        score_text(*arguments)
        require(arguments == (prompts, flat), "score_text changes the lists it is given", hint="work on a copy")
    if term.differentiable:
        with checks("one-hot = text"), torch.no_grad():
            finished = torch.ones(p, c, dtype=torch.bool, device=subject.policy.device)
            gap = off(term(subject.policy.from_text(texts, finished)), table)
            require(
                not gap,
                "score_text and the response form give different energies",
                detail=gap,
                hint="the two are one energy; leave one of them out if they cannot agree",
            )


def _scores(term: Term, pairs: Pairs) -> Tensor:
    score_text = term.bound.score_text
    assert score_text is not None
    with torch.no_grad():
        return torch.as_tensor(score_text(list(pairs[0]), list(pairs[1])), dtype=torch.float32).cpu()

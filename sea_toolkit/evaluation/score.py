"""Texts that are there already, scored by an energy: answers of other tools, of people, or of an earlier run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.problem.text_scoring import score_given_texts
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.measures import refuse_measured
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.result import finite
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Messages, Prompt, Row, as_prompts
from sea_toolkit.util.progress import Progress, silent

BATCH = 16
"""Texts that are scored side by side, if no number is given."""


@dataclass(frozen=True)
class Score:
    """What an energy says of one text.

    Attributes:
        prompt: what it answers.
        text: the answer.
        finished: whether it was read with an end of text behind it.
        energy: Σ weight · term in nats, at the weights of a run's end and without limits; lower is better.
        terms: label → unweighted term.
        nats: label → weight · term, which add up to the energy; of the terms that are no limits.
        utility: −Σ weight · term of the terms that are not −log π, in nats; higher is better.
        rewards: label → reward, of the terms that are rewards: the negative of their term.
        limits: label → whether the text is inside.
        tokens: of the text, the end of text included.
        nll: −log π of the text in nats; nan where the energy has no reference.
    """

    prompt: Prompt
    text: str
    finished: bool
    energy: float
    terms: dict[str, float]
    nats: dict[str, float]
    utility: float
    rewards: dict[str, float]
    limits: dict[str, bool]
    tokens: int
    nll: float

    @property
    def nll_per_token(self) -> float:
        """−log π per token in nats; nan for a text without tokens."""
        return self.nll / self.tokens if self.tokens else float("nan")

    @property
    def kept(self) -> bool:
        """Whether the text is inside all limits."""
        return all(self.limits.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are None."""
        numbers = {
            "energy": finite(self.energy),
            "utility": finite(self.utility),
            "nll": finite(self.nll),
            "nll_per_token": finite(self.nll_per_token),
        }
        tables = {name: {k: finite(v) for k, v in vars(self)[name].items()} for name in ("terms", "nats", "rewards")}
        return asdict(self) | {"prompt": self.prompt.to_data()} | numbers | tables | {"kept": self.kept}


class Scorer:
    """Scores texts as a run scores the texts that it meets; models are read once, at the first call.

    Args:
        recipe: as for `align`; only its energy, its policy and its limits matter.
        reward: as for `align`.
        energies: as for `align`.
        batch: texts that are scored side by side. Their number changes the last digits.
        model: as for `align`.
        device: as for `align`.
        policy: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.

    Raises:
        RecipeError: a scale that each run measures anew, an energy over all chains of a prompt, or as `align`.
    """

    def __init__(
        self,
        *,
        recipe: RecipeSource | None = None,
        reward: Rewards | None = None,
        energies: Energies | None = None,
        batch: int = BATCH,
        model: str | None = None,
        device: str | None = None,
        policy: Policy | None = None,
        allow_code: Collection[str] = (),
        allow_network: Collection[str] = (),
        trust_remote_code: bool = False,
        hub: PluginHub | None = None,
    ) -> None:
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise RecipeError(f"batch = {batch!r}", expected="a whole number above 0")
        self.batch = batch
        self.session = Session(hub, policy=policy, progress=self._tell, trust_remote_code=trust_remote_code)
        settings = {"model": model, "device": device}
        call = Asked.of(self.session, recipe, reward, energies, settings, allow_code, allow_network)
        self.composition = call.compose(self.session)
        refuse_measured(self.composition.parts, "score")
        if self.composition.joint:
            raise RecipeError(
                f"the energy {self.composition.joint[0]!r} is of all chains of a prompt, and texts are scored alone",
                hint="leave it out here",
            )
        self._progress: Progress = silent

    @own_torch_state()
    def score(
        self,
        prompts: Sequence[str | Messages | Row],
        texts: Sequence[str],
        *,
        finished: bool | Sequence[bool] = True,
        progress: bool | Progress = False,
    ) -> list[Score]:
        """Score N texts.

        A text gets the number that a run gives it, but for what nobody can read: a run charges a text that was drawn
        with special tokens for these as well.

        Args:
            prompts: N texts or conversations; the same one may come several times.
            texts: N answers, one to each prompt.
            finished: whether the answers are whole; a cut one has no end to be charged for. One for all, or one each.
            progress: as for `align`.

        Raises:
            RecipeError: other numbers of prompts and texts, a text longer than the policy has positions; or as `align`.
        """
        asked, ends = as_prompts(prompts), [finished] * len(texts) if isinstance(finished, bool) else list(finished)
        _check(asked, texts, ends)
        rows, found = self.composition.prompts(asked), list[Score]()
        live, self._progress = watched(progress)
        with shown(live):
            for problem, chunk in self._bound(rows, list(texts), ends):
                found += _scores(problem, chunk)
                self._tell(len(found), len(rows), "scoring")
        return found

    def _tell(self, done: int, total: int, what: str) -> None:
        self._progress(done, total, what)

    def _bound(self, prompts: list[Prompt], texts: list[str], finished: list[bool]) -> Iterator[tuple[Problem, Chunk]]:
        """A few texts at a time, with the problem that reads them: one chain each, as long as the longest."""
        session, composition = self.session, self.composition

        def check(tokenizer: Any) -> None:
            composition.check(session.finder, tokenizer)

        policy = session.policy(composition.recipe.policy, check)
        lengths = [len(ids) + 1 for ids in policy.answers.encode(texts)]
        for first in range(0, len(prompts), self.batch):
            some = slice(first, first + self.batch)
            recipe = composition.recipe.model_copy(update={"max_new_tokens": max(lengths[some])})
            clock = Clock(progress=1.0)
            bound = session.bind(replace(composition, recipe=recipe), prompts[some], clock=clock)
            run = RunState.begin(bound.ledger, clock, len(prompts[some]), 1, policy.device)
            yield replace(bound, chains=1, run=run), (prompts[some], texts[some], finished[some])


def score(
    prompts: Sequence[str | Messages | Row],
    texts: Sequence[str],
    *,
    recipe: RecipeSource | None = None,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    finished: bool | Sequence[bool] = True,
    batch: int = BATCH,
    model: str | None = None,
    device: str | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    hub: PluginHub | None = None,
    progress: bool | Progress = False,
) -> list[Score]:
    """Score N given texts once; `Scorer` keeps its models for further calls.

    Args:
        prompts: as for `Scorer.score`.
        texts: as for `Scorer.score`.
        recipe: as for `Scorer`.
        reward: as for `align`.
        energies: as for `align`.
        finished: as for `Scorer.score`.
        batch: as for `Scorer`.
        model: as for `align`.
        device: as for `align`.
        policy: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.
        progress: as for `align`.

    Raises:
        RecipeError: as `Scorer` and `Scorer.score`.
    """
    scorer = Scorer(
        recipe=recipe, reward=reward, energies=energies, batch=batch, model=model, device=device, policy=policy,
        allow_code=allow_code, allow_network=allow_network, trust_remote_code=trust_remote_code, hub=hub,
    )  # fmt: skip
    return scorer.score(prompts, texts, finished=finished, progress=progress)


Chunk = tuple[list[Prompt], list[str], list[bool]]
"""Prompts, their texts, and whether these are finished."""


def _check(prompts: Sequence[Prompt], texts: Sequence[Any], finished: Sequence[bool]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        wrong = texts if isinstance(texts, str) else next(text for text in texts if not isinstance(text, str))
        raise RecipeError(f"texts are {wrong!r}", expected="a list of texts, one for each prompt")
    for name, count in (("texts", len(texts)), ("values of finished", len(finished))):
        if count != len(prompts):
            raise RecipeError(f"{len(prompts)} prompts and {count} {name}", expected="as many, one for each prompt")
    if not prompts:
        raise RecipeError("there are no texts to score", expected="at least one, with its prompt")


def _scores(problem: Problem, chunk: Chunk) -> list[Score]:
    prompts, texts, finished = chunk
    scored = score_given_texts(problem, [[text] for text in texts], torch.tensor(finished)[:, None])
    terms = {label: values[:, 0].tolist() for label, values in scored.energies.terms.items()}
    counted = [t for t in problem.terms if t.limit is None]
    nats = {t.label: problem.weighted(t, scored.energies.terms[t.label])[:, 0].tolist() for t in counted}
    outside = {label: values[:, 0].tolist() for label, values in scored.violations.items()}
    rewards = {term.label for term in problem.terms if term.is_reward}
    nll, length = scored.nll[:, 0].tolist(), scored.length[:, 0].tolist()
    return [
        Score(
            prompt=prompts[i], text=texts[i], finished=finished[i], energy=sum(values[i] for values in nats.values()),
            terms={label: values[i] for label, values in terms.items()},
            nats={label: values[i] for label, values in nats.items()},
            utility=-sum(nats[term.label][i] for term in counted if term.policy_energy is None),
            rewards={label: -values[i] for label, values in terms.items() if label in rewards},
            limits={label: values[i] <= 0 for label, values in outside.items()},
            tokens=int(length[i]), nll=nll[i],
        )
        for i in range(len(texts))
    ]  # fmt: skip

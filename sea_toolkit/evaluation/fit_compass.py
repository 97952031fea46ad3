"""A compass made once, on the policy's own answers to a user's prompts: by gradients, or by the scores of words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.base_answers import check_draws, scored_base_answers
from sea_toolkit.evaluation.gradient_sums import GradientSums
from sea_toolkit.evaluation.word_compass import check_words, word_compass
from sea_toolkit.lm.fingerprint import tokenizer_fingerprint
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.compass import Compass
from sea_toolkit.problem.compass_file import CompassInfo, compass_of, write_compass
from sea_toolkit.problem.terms import Term
from sea_toolkit.readers.piece_table import token_texts
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.compasses import CompassChoice
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.recipe import SamplerSpec
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Messages, Prompt, Row, as_prompts
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress
from sea_toolkit.util.version import VERSION

SAMPLES = 8
"""Answers per prompt, if no number is given."""

SHOWN = 12
"""Words that are told of, at each end."""


@dataclass(frozen=True, eq=False)
class FittedCompass:
    """What `fit_compass` found.

    Attributes:
        compass: what a run starts from.
        info: where it comes from.
        tensors: as its file holds it.
        favored: words that lower the energy most, the first one most of all.
        disfavored: words that raise it most.
        agreement: rank correlation of the scores of words with what a word does in a text; None of gradients.
    """

    compass: Compass
    info: CompassInfo
    tensors: dict[str, Tensor]
    favored: list[str]
    disfavored: list[str]
    agreement: float | None = None

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            ModelError: the file cannot be written.
        """
        write_compass(user_path(path, "the name of the compass"), self.tensors, self.info)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: all but the numbers of the tokens."""
        words = {"favored": self.favored, "disfavored": self.disfavored}
        return {**asdict(self.info), **words, "agreement": self.agreement}


@own_torch_state()
def fit_compass(
    prompts: Sequence[str | Messages | Row],
    *,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    recipe: RecipeSource | None = None,
    words: int | None = None,
    samples: int = SAMPLES,
    max_new_tokens: int | None = None,
    seed: int = 0,
    model: str | None = None,
    device: str | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    hub: PluginHub | None = None,
    progress: bool | Progress = False,
) -> FittedCompass:
    """Find out which of the policy's words an energy likes, once, for runs that begin with it.

    The mean gradient over the policy's own answers to prompts; or, with `words`, what the energy says of single words,
    which takes no gradient. The number of texts that the energy is then asked about is `calls_for_words`.

    Args:
        prompts: such as it is for; not those that it is measured on.
        reward: the one reward, as for `align`.
        energies: the one energy, instead of a reward.
        recipe: as for `align`; its reference is left out.
        words: score as many tokens by themselves, those that the policy writes most; None: use gradients.
        samples: answers per prompt.
        max_new_tokens: of an answer.
        seed: of the draws.
        model: as for `align`.
        device: as for `align`.
        policy: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.
        progress: as for `align`.

    Raises:
        RecipeError: several energies or none, one without a gradient where words are not scored, one that says the same
            of every word; or as `align`.
    """
    asked = as_prompts(prompts)
    check_draws(samples, seed, len(asked), fewest=1)
    check_words(words)
    live, told = watched(progress)
    session = Session(hub, policy=policy, progress=told, trust_remote_code=trust_remote_code)
    settings = {"model": model, "device": device, "max_new_tokens": max_new_tokens}
    call = Asked.of(session, recipe, reward, energies, settings, allow_code, allow_network)
    with shown(live):
        plain = call.recipe.model_copy(
            update={"constraints": [], "calibration": None, "sampler": SamplerSpec(name="best-of-n"), "rewrite": None}
        )
        composition = call.compose(session, plain)
        composition.parts = [_only(composition)]
        rows = composition.prompts(asked)
        if words is None:
            return _by_gradients(session, composition, rows, samples, seed, told)
        return _by_words(session, composition, rows, words, seed, told)


def _only(composition: Composition) -> Part:
    """The one energy, as it is: without a compass, a scale or a group.

    Raises:
        RecipeError: there are several, or none.
    """
    parts = [part for part in composition.parts if not part.is_reference]
    if len(parts) != 1:
        raise RecipeError(
            f"a compass of {', '.join(part.label for part in parts) or 'no energy'}",
            expected="one reward or energy beside the reference",
            hint="each has a compass of its own",
        )
    (part,) = parts
    return replace(part, compass=CompassChoice(is_off=True), weight=replace(part.weight, scale=1.0, maximin=None))


def _by_gradients(
    session: Session, composition: Composition, prompts: Sequence[Prompt], samples: int, seed: int, progress: Progress
) -> FittedCompass:
    (part,), sums = composition.parts, None
    for problem, scored in scored_base_answers(session, composition, prompts, samples, seed, progress, gradients=True):
        (term,) = problem.terms
        if not scored.token_gradients:
            raise RecipeError(
                f"{part.label!r} has no gradient",
                expected="an energy that can be asked about a relaxed response",
                hint="--words 4000 (words=4000 in Python) scores single words instead",
            )
        sums = sums or GradientSums(problem.policy)
        sums.add(scored.token_gradients[0], scored.length)
    assert sums is not None
    info = _info(part, term, composition, sums.policy, "gradients", sums.count, len(prompts), seed)
    return _fitted(sums.tensors(), info, sums.policy)


def _by_words(
    session: Session, composition: Composition, prompts: Sequence[Prompt], words: int, seed: int, progress: Progress
) -> FittedCompass:
    (part,) = composition.parts
    found = word_compass(session, composition, prompts, words, seed, progress)
    info = _info(part, found.term, composition, found.policy, "words", found.compass.count, len(prompts), seed)
    tensors = {"mean": found.compass.mean.bfloat16(), "variance": found.compass.variance.bfloat16()}
    return replace(_fitted(tensors, info, found.policy), agreement=found.agreement)


def _info(
    part: Part, term: Term, composition: Composition, policy: Policy, source: Any, count: float, prompts: int, seed: int
) -> CompassInfo:
    return CompassInfo(
        label=part.label, reward=part.identity(term.bound, term.meter, policy), policy=policy.name,
        vocabulary=tokenizer_fingerprint(policy.tokenizer), count=float(count), source=source, prompts=prompts,
        max_new_tokens=composition.recipe.max_new_tokens, seed=seed, version=VERSION,
    )  # fmt: skip


def _fitted(tensors: dict[str, Tensor], info: CompassInfo, policy: Policy) -> FittedCompass:
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    compass = compass_of(tensors, info.count, policy.table)
    texts = token_texts(policy.tokenizer, policy.vocab_size)
    order = [i for i in compass.mean.argsort().tolist() if compass.mean[i] and (texts[i] or "").strip().isalpha()]
    named = [(texts[i] or "").strip() for i in order]
    return FittedCompass(compass, info, tensors, named[:SHOWN], named[::-1][:SHOWN])

"""The energy `policy-mixture`: a log-linear pool of language models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.likelihood_pool import LikelihoodPool, pool_outlook


class Expert(TypedDict, total=False):
    """One model of a pool: its name, or the policy if it is left out, and its weight, or 1."""

    model: str
    weight: float


class PolicyMixture(Energy):
    """−Σ a_i log π_i(y|x), in nats: with `reference` beside it the target is the product π^w · Π π_i^a_i.

    Positive weights make a product of experts (Hinton 2002): each has a veto. A pair of opposite ones prefers what the
    first model says and the second does not: an expert against an amateur (Li et al. 2023, arXiv 2210.15097) or an
    anti-expert (DExperts, Liu et al. 2021, arXiv 2105.03023). A model that was tuned against the one it was tuned from
    is a reward; see `implicit-reward`.

    Each model reads the conversation in its own chat template. The token that ends the turn counts where the answer has
    ended, as in the policy's own −log π. Tokens need not be the policy's; with others the gradient comes through a
    bridge.

    Args:
        models: language models, each a name (weight 1) or a table with its `model`, the policy itself if it is left
            out, and its `weight` a_i, above or below 0.
        normalize: "sum" over the tokens, as in the law above, or "mean": each log-probability per token of its own.
        template_options: variables of all chat templates.
        truncate: where the text has more tokens than a model can read, leave out the beginning of the prompt.
    """

    label = "policy-mixture"

    def __init__(
        self,
        *,
        models: Annotated[list[str | Expert], Field(min_length=1)],
        normalize: Literal["sum", "mean"] = "sum",
        template_options: dict[str, Any] | None = None,
        truncate: bool = False,
    ) -> None:
        tables = [Expert(model=model) if isinstance(model, str) else model for model in models]
        self.experts = [(table.get("model"), table.get("weight", 1.0)) for table in tables]
        names = [name for name, _ in self.experts]
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(
                    f"policy-mixture has {'the policy' if name is None else repr(name)} twice", expected="each once"
                )
        if names == [None]:
            raise RecipeError(
                "policy-mixture has no model but the policy", expected="another one", hint="the energy `reference`"
            )
        if not all(weight for _, weight in self.experts):
            raise RecipeError("policy-mixture has a model of weight 0", expected="a weight other than 0 for each")
        self.normalize, self.template_options, self.truncate = normalize, template_options or {}, truncate
        self.reward_model = [name for name in names if name is not None]

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the models before any weights are read.

        Raises:
            ModelError: a name is unknown, or not that of a language model.
        """
        for name, _ in self.experts:
            if name is not None:
                find_language_model(name, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """The language models; the gradient comes by the longest road of theirs."""
        return pool_outlook("policy-mixture", [name for name, _ in self.experts], foresight, is_reward=False)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the models, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a prompt is too long for a model, or two names are one model.
        """
        pool = LikelihoodPool(
            "policy-mixture", context, end=None, normalize=self.normalize, template_options=self.template_options,
            truncate=self.truncate,
        )  # fmt: skip
        for name, weight in self.experts:
            pool.add(name, weight)
        return pool.bound(is_reward=False)

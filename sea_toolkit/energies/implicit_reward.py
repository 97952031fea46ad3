"""The energy `implicit-reward`: what a tuned language model prefers to the one that it was tuned from."""

from __future__ import annotations

from typing import Any, Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.likelihood_pool import LikelihoodPool, pool_outlook


class ImplicitReward(Energy):
    """−β (log π_a(y|x) − log π_b(y|x)), in nats: the reward that a model was trained to by DPO and its kin (Rafailov et
    al. 2023, eq. 5, without the term that depends on the prompt alone).

    Both read the conversation in their own chat templates. Their tokens need not be the policy's; with others the
    gradient comes through a bridge.

    Args:
        model: π_a, a catalog name, a local folder or a Hugging Face id of a causal LM.
        reference: π_b, the model that it was trained from; the policy itself if left out.
        beta: β of the training.
        normalize: "sum" over the tokens, or "mean": each model's log-probability per token of its own.
        end: count the token that ends the turn too, as training does; the answer is then taken as a finished one.
        template_options: variables of both chat templates.
        truncate: where the text has more tokens than a model can read, leave out the beginning of the prompt.
    """

    def __init__(
        self,
        *,
        model: str,
        reference: str | None = None,
        beta: float = 1.0,
        normalize: Literal["sum", "mean"] = "sum",
        end: bool = False,
        template_options: dict[str, Any] | None = None,
        truncate: bool = False,
    ) -> None:
        if model == reference:
            raise RecipeError(f"implicit-reward compares {model} with itself", expected="two models")
        self.model, self.reference, self.beta, self.normalize = model, reference, beta, normalize
        self.end, self.template_options, self.truncate = end, template_options or {}, truncate
        self.reward_model = model
        self.label: str | None = model.rstrip("/").rpartition("/")[2]

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the models before any weights are read.

        Raises:
            ModelError: a name is unknown, or not that of a language model.
        """
        for name in (self.model, self.reference):
            if name is not None:
                find_language_model(name, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """Two language models; the gradient comes by the longer road of the two."""
        return pool_outlook("implicit-reward", [self.model, self.reference], foresight, is_reward=True)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the models, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a prompt is too long for a model, or both are the policy.
        """
        pool = LikelihoodPool(
            "implicit-reward", context, end=self.end, normalize=self.normalize,
            template_options=self.template_options, truncate=self.truncate,
        )  # fmt: skip
        pool.add(self.model, self.beta)
        pool.add(self.reference, -self.beta)
        return pool.bound(is_reward=True)

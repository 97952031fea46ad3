"""The energy `classifier`: answers that a classifier puts into one class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.models.loading import check_tokenizer
from sea_toolkit.models.resolve import resolve_model
from sea_toolkit.problem.terms import Context
from sea_toolkit.readers.sequence_classifier import Reading, SequenceScorer, sequence_scorer
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


class Classifier:
    """−log p(class | y), in nats, from a Hugging Face sequence-classification model with the policy's tokenizer.

    Args:
        model: a local folder or a Hugging Face id.
        target: the wanted class, by label or index.
        reads: what the classifier is shown; see the energy `reward`.
        truncate: see the energy `reward`.
    """

    def __init__(self, *, model: str, target: str | int, reads: Reading = "response", truncate: bool = False) -> None:
        self.model, self.target, self.reads, self.truncate = model, target, reads, truncate
        self.name = model.rstrip("/").rpartition("/")[2]
        self.label = f"{self.name}:{target}"

    def check(
        self, hub: PluginHub, tokenizer: Any, progress: Progress = silent, trust_remote_code: bool = False
    ) -> Path | str:
        """Find the model and compare its vocabulary with the policy's, before any weights are read.

        Raises:
            ModelError: no such model, or another vocabulary than the policy's.
        """
        source = resolve_model(self.model, hub, "reward", progress)
        check_tokenizer(source, self.name, tokenizer, trust_remote_code=trust_remote_code)
        return source

    def bind(self, context: Context) -> BoundClassifier:
        """Load the model and check that it fits the policy.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: no such class.
        """
        source = self.check(
            context.hub, context.policy.tokenizer, context.progress or silent, context.trust_remote_code
        )
        scorer = sequence_scorer(source, self.name, self.reads, context, truncate=self.truncate)
        return BoundClassifier(scorer, scorer.output(self.target))


class BoundClassifier:
    """The classifier energy of a run. A model with one output is read as the log-odds of its class."""

    def __init__(self, scorer: SequenceScorer, target: int) -> None:
        self.scorer, self.target = scorer, target

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * self.scorer.parameters

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        logits = self.scorer(response)
        if logits.shape[-1] == 1:
            return -nn.functional.logsigmoid(logits[..., 0])
        return -logits.log_softmax(-1)[..., self.target]

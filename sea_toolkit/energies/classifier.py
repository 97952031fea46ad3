"""The energy `classifier`: answers that a classifier puts into one class."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_spec import DType
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.classifiers import classifier_outlook, classifier_scorer
from sea_toolkit.readers.output_choice import output_index
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.text_scorer import bound_outputs


class Classifier(Energy):
    """−log p(class | y), in nats, from a Hugging Face sequence-classification model.

    Args:
        model: a local folder or a Hugging Face id.
        target: the wanted class, by label or index.
        reads: what the classifier is shown; see the energy `reward`.
        truncate: see the energy `reward`.
        template_options: see the energy `reward`.
        device: see the energy `reward`.
        dtype: see the energy `reward`.
        tensor_parallel_size: see the energy `reward`.
        batch: see the energy `reward`.
    """

    differentiable = True
    label: str

    def __init__(
        self,
        *,
        model: str,
        target: str | int,
        reads: Reading = "response",
        truncate: bool = False,
        template_options: dict[str, Any] | None = None,
        device: str | None = None,
        dtype: DType | None = None,
        tensor_parallel_size: Annotated[int, Field(gt=0)] | None = None,
        batch: Annotated[int, Field(gt=0)] | None = None,
    ) -> None:
        self.model, self.target, self.reads, self.truncate = model, target, reads, truncate
        self.template_options, self.device, self.dtype, self.batch = template_options, device, dtype, batch
        self.parts = tensor_parallel_size
        self.reward_model = model
        self.name = model.rstrip("/").rpartition("/")[2]
        self.label = f"{self.name}:{target}"

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model and its tokenizer, before any weights are read.

        Raises:
            ModelError: no such model, or no tokenizer beside it.
        """
        source = finder.find(self.model, "reward")
        read_tokenizer(source, self.name, trust_remote_code=finder.trust_remote_code)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A model of its own."""
        source = foresight.finder.find(self.model, "reward")
        found = classifier_outlook(source, self.name, foresight, device=self.device, dtype=self.dtype)
        return replace(found, is_reward=False)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model. The only output, or one of a multi-label model, is the log-odds of its class; others compete.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: no such class.
        """
        source = context.find_model(self.model)
        scorer = classifier_scorer(
            source, self.name, context, reads=self.reads, truncate=self.truncate,
            template_options=self.template_options, device=self.device, dtype=self.dtype, batch=self.batch,
            tensor_parallel_size=self.parts,
        )  # fmt: skip
        config = scorer.reader.model.config
        target = output_index(config, self.name, self.target)
        alone = config.num_labels == 1 or config.problem_type == "multi_label_classification"

        def energy(logits: Float[Tensor, "*rows L"]) -> Float[Tensor, "*rows"]:
            if alone:
                return -nn.functional.logsigmoid(logits[..., target])
            return -logits.log_softmax(-1)[..., target]

        return bound_outputs(scorer, energy, target, is_reward=False)

"""Models given in Python, as rewards or energies: any torch module, or a sequence classifier of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.load_options import at
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy, bound_function
from sea_toolkit.problem.functions import FunctionForm, numbers_for
from sea_toolkit.readers.classifiers import scorer_for
from sea_toolkit.readers.output_choice import Output, OutputChoice
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.readers.text_scorer import bound_outputs


class ModuleEnergy(Energy):
    """A torch module; the parameters of its `forward` say what it is given, as those of a function do.

    It is announced, moved to the policy's device, put into eval mode, and its weights are frozen.

    Args:
        module: returns `[P, C]` for a response, or N numbers for texts.
        is_reward: higher is better.

    Raises:
        PluginError: its `forward` is of none of the forms; see `FunctionForm`.
    """

    def __init__(self, module: nn.Module, *, is_reward: bool) -> None:
        self.module, self.is_reward = module, is_reward
        self.form = FunctionForm(module, stated_by=module.forward, takes_columns=True)
        self.differentiable, self.columns = not self.form.reads_text, self.form.columns

    def bind(self, context: Context) -> BoundEnergy:
        context.use_model(f"own:{type(self.module).__name__}", self.module.to(context.policy.device))
        return bound_function(self.form.in_run(context), is_reward=self.is_reward)


@runtime_checkable
class PairScorer(Protocol):
    """A cross-encoder of sentence-transformers, or what has its methods."""

    model: Any

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Any: ...

    def rank(self, query: str, documents: list[str]) -> Any: ...


class PairReward(Energy):
    """What a cross-encoder says of prompt and answer as a pair. It reads texts, where and as it is set up.

    Args:
        scorer: the cross-encoder; its `model` is announced.
        is_reward: higher is better.
    """

    differentiable = False

    def __init__(self, scorer: PairScorer, *, is_reward: bool) -> None:
        self.scorer, self.is_reward = scorer, is_reward

    def bind(self, context: Context) -> BoundEnergy:
        if isinstance(self.scorer.model, nn.Module):
            context.use_model(f"own:{type(self.scorer).__name__}", self.scorer.model)

        def score_text(prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
            values = numbers_for(self.scorer.predict(list(zip(map(str, prompts), texts, strict=True))), len(texts))
            return -values if self.is_reward else values

        return BoundEnergy(score_text=score_text, is_reward=self.is_reward)


class ClassifierReward(Energy):
    """The output of a sequence classifier of transformers.

    With the policy's vocabulary it is read token by token, with another through a bridge.

    Args:
        model: from `AutoModelForSequenceClassification`, already in memory.
        tokenizer: its own; None: the one beside its weights, else the policy's if it fits.
        output: which of several outputs is the reward, by label or index; or their weights.
        reads: what it is shown; see the energy `reward`.
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, output: Output = None, reads: Reading = "auto") -> None:
        self.model, self.tokenizer, self.output, self.reads = model, tokenizer, output, reads
        self.name = type(model).__name__

    def bind(self, context: Context) -> BoundEnergy:
        """Find the tokenizer, and read two texts with the model to see that it can be read.

        Raises:
            ModelError: no tokenizer fits, or the model cannot be read through its embeddings.
            RecipeError: it has several outputs and none is named, or no such output.
        """
        policy = context.policy
        tokenizer, warnings = self._tokenizer(policy, context.finder.trust_remote_code)
        model = at(self.model, policy.device).eval()
        reader = ClassifierReader(model, shown_to(model, tokenizer, self.name, self.reads))
        choice = OutputChoice.of(model.config, self.name, self.output)
        scorer = scorer_for(reader, context)
        scorer.warnings[:0] = warnings
        return bound_outputs(scorer, lambda outputs: -choice(outputs), choice.largest, is_reward=True)

    def _tokenizer(self, policy: Policy, trust_remote_code: bool) -> tuple[Any, list[str]]:
        """The model's tokenizer, and what a person should know of it."""
        if self.tokenizer is not None:
            return self.tokenizer, []
        source = self.model.name_or_path
        if source:
            try:
                source = Path(source) if Path(source).exists() else source
                return read_tokenizer(source, self.name, trust_remote_code=trust_remote_code), []
            except ModelError:  # its weights came without one
                pass
        rows, wanted = len(self.model.get_input_embeddings().weight), len(policy.tokenizer)
        if rows < wanted:
            raise ModelError(
                f"{self.name} came without a tokenizer, and has {rows} rows for the {wanted} tokens of the policy",
                expected="the model with its own tokenizer",
                hint="(model, tokenizer) in the place of the model",
            )
        return policy.tokenizer, [f"{self.name} came without a tokenizer: it reads the policy's tokens"]

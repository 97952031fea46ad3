"""What gives each step its number: a head on the hidden state, or the next tokens of a language model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date as Date
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.energies.process_reward.forms import StepForm
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.tokens import middle_of_text
from sea_toolkit.lm.vocabulary import guard_rows
from sea_toolkit.models.loading import load_step_classifier
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.language_model import aligned_with, language_model
from sea_toolkit.readers.output_choice import output_index
from sea_toolkit.readers.piece_alignment import PieceAlignment


class StepJudge(ABC):
    """From the hidden state at which a step is read to its log-odds.

    Attributes:
        name: the model's.
        model: what is announced.
        tokenizer: its own.
        backbone: gives the hidden states.
        alignment: from the policy's tokens to its own.
        limit: tokens that it can read, or None.
        date: what its chat template is told; today if None.
        warnings: what a person should know of the values.
    """

    name: str
    model: Any
    tokenizer: Any
    backbone: Backbone
    alignment: PieceAlignment
    limit: int | None
    date: Date | None
    warnings: list[str]

    @abstractmethod
    def log_odds(self, hidden: Float[Tensor, "N E H"]) -> Float[Tensor, "N E"]:
        """That a step is right, float32."""


class PairJudge(StepJudge):
    """The next tokens of a language model, one for a step and one against it.

    Args:
        name: of the model; None for the policy.
        form: with the two tokens.
        context: of the run.

    Raises:
        ModelError: unreadable.
        RecipeError: one of them is no single token, or the two are the same.
    """

    def __init__(self, name: str | None, form: StepForm, context: Context) -> None:
        self.lm = language_model(name, context)
        self.name, self.model, self.tokenizer = self.lm.name, self.lm.model, self.lm.tokenizer
        self.backbone, self.limit = self.lm.backbone, self.lm.context_length
        self.date = None if context.policy.chat is None else context.policy.chat.date
        self.alignment, self.warnings = aligned_with(self.tokenizer, self.lm.table, self.name, self.name, context)
        pair = [form.good or "", form.bad or ""]
        rows = middle_of_text(self.tokenizer).encode(pair, special=True)
        if any(len(row) != 1 for row in rows) or rows[0] == rows[1]:
            raise RecipeError(
                f"{form.good!r} and {form.bad!r} are the tokens {rows} of {self.name}", expected="two different tokens"
            )
        (self.good,), (self.bad,) = rows

    def log_odds(self, hidden: Float[Tensor, "N E H"]) -> Float[Tensor, "N E"]:
        logits = self.lm.logits(hidden)
        return logits[..., self.good] - logits[..., self.bad]


class HeadJudge(StepJudge):
    """A head of one output, which is the log-odds, or of several classes, one of which says that a step is right.

    Args:
        name: of the model.
        form: with the wanted output.
        context: of the run.

    Raises:
        ModelError: unreadable, or an encoder.
        RecipeError: no such output, or several and none named.
    """

    def __init__(self, name: str, form: StepForm, context: Context) -> None:
        policy, finder = context.policy, context.finder
        self.name = name.rstrip("/").rpartition("/")[2]
        source = context.find_model(name)
        self.model, self.tokenizer = finder.load_once(
            ("step classifier", source, policy.device, policy.dtype),
            lambda: load_step_classifier(source, policy, self.name, trust_remote_code=finder.trust_remote_code),
        )
        parts = dict(self.model.named_children())
        if "score" not in parts:
            raise ModelError(
                f"{self.name} ({type(self.model).__name__}) is an encoder, which reads what follows a step too",
                expected="a decoder with a head, or a language model with a pair of tokens",
            )
        embedding = self.model.get_input_embeddings()
        guard_rows(embedding, self.tokenizer, self.name)
        self.head, self.backbone = parts["score"], Backbone(parts[self.model.base_model_prefix], embedding, self.name)
        self.limit, self.date = usable_positions(self.model), None
        self.alignment, self.warnings = aligned_with(self.tokenizer, self.backbone.table, self.name, source, context)
        self.output = output_index(self.model.config, self.name, form.output)

    def log_odds(self, hidden: Float[Tensor, "N E H"]) -> Float[Tensor, "N E"]:
        outputs = self.head(hidden).float()
        if outputs.shape[-1] == 1:
            return outputs[..., 0]
        others = [i for i in range(outputs.shape[-1]) if i != self.output]
        return outputs[..., self.output] - torch.logsumexp(outputs[..., others], -1)

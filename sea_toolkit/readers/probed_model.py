"""A probe on a model of its own, in the form of transformers' sequence classifiers; its tokenizer may be any."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.devices import Placed
from sea_toolkit.lm.fingerprint import model_facts, state_sample
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.lm.truncate import first_blocks
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_encoder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.readers.probe import Probe


class ProbedModel(nn.Module):
    """The first blocks of a model with a probe's head on the mean over the tokens of a text.

    Args:
        model: a language model's or encoder's base.
        view: the blocks that the probe reads (see `first_blocks`).
        probe: made for this model.
        tokenizer: the model's.
    """

    def __init__(self, model: Any, view: Any, probe: Probe, tokenizer: Any) -> None:
        super().__init__()
        self.body, self.embedding = view, model.get_input_embeddings()
        self.head = probe.head.to(self.embedding.weight.device)
        for key, tensor in self.head.tensors.items():  # the head is part of what this module is
            self.register_buffer(key.replace(".", "_"), tensor)
        self.opening, self.closing = (len(ids) for ids in wrapping(tokenizer))
        self.config = copy.deepcopy(view.config)
        self.config.num_labels = 1
        self.plain = accepted(view, use_cache=False)

    def get_input_embeddings(self) -> Any:
        """The body's."""
        return self.embedding

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        """The reward `[N, 1]` as `logits`, of whole texts with the special tokens around them."""
        hidden = self.body(
            input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=attention_mask, **self.plain
        )[0]
        shown = torch.ones_like(hidden[..., 0]) if attention_mask is None else attention_mask
        place = (shown > 0).cumsum(-1)
        content = (shown > 0) & (place > self.opening) & (place <= place[:, -1:] - self.closing)
        return SimpleNamespace(logits=self.head.of_tokens(hidden, content)[:, None])


def body_of(probe: Probe, path: Path, finder: ModelFinder) -> Path | str:
    """Where the model is that a probe reads.

    Args:
        probe: read from a file.
        path: of that file.
        finder: from names to models.

    Raises:
        ModelError: it cannot be had.
    """
    name = probe.info.model
    try:
        return find_language_model(str((path.parent / name).resolve()) if name.startswith(".") else name, finder)
    except ModelError as error:
        raise ModelError(
            f"the probe {probe.info.name} reads {name}, which is not the policy and cannot be had: {error.got}",
            expected=f"{name}, beside the policy",
            hint=error.hint,
        ) from error


def load_probed(probe: Probe, path: Path, finder: ModelFinder, place: Placed) -> tuple[ProbedModel, Any]:
    """A probe with the model that it reads, at the given place, and that model's tokenizer.

    Raises:
        ModelError: the model cannot be had or read, or is not the one that the probe was made for.
    """
    source, trust = body_of(probe, path, finder), finder.trust_remote_code
    name = probe.info.model
    model, tokenizer = finder.load_once(
        ("encoder", source, place.device, place.dtype),
        lambda: load_encoder(source, place, name, trust_remote_code=trust),
    )
    wrong = probe.other_facts(model_facts(model, tokenizer, name))
    if not wrong:
        view = first_blocks(model, probe.layer)  # the state tells whether it gives what the head was trained on
        if probe.same(probe.distance(state_sample(view, tokenizer, place.device))):
            return ProbedModel(model, view, probe, tokenizer), tokenizer
        wrong = ["other weights"]
    raise probe.refused(f"what is at {source}", wrong)

"""A classifier's outputs as a user of transformers gets them, to compare our reading with."""

from __future__ import annotations

import math

import torch
from transformers import PreTrainedModel

from sea_toolkit.lm.architecture import accepted
from sea_toolkit.readers.output_choice import labels_of
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_pair import ShownPair
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.util.conversation import Message, Prompt


@torch.no_grad()
def transformers_outputs(reader: ClassifierReader, prompt: Prompt, answer: str) -> list[float] | None:
    """All outputs by the tokenizer's own rendering and the model's own forward pass; None for a head of our own.

    Args:
        reader: of the classifier.
        prompt: what was asked.
        answer: a text; NaN for one that has no tokens, or more than the model can read.
    """
    model, shown = reader.model, reader.shown
    if not isinstance(model, PreTrainedModel):
        return None
    if isinstance(shown, ShownText) and shown.reads == "chat":
        messages = [{"role": m.role, "content": m.content} for m in [*prompt.messages, Message("assistant", answer)]]
        options = {} if shown.chat is None else shown.chat.options
        encoding = shown.tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True, **options)
    elif isinstance(shown, ShownPair):
        encoding = shown.tokenizer(str(prompt), answer, return_tensors="pt")
    else:
        encoding = shown.tokenizer(shown.text(prompt, answer), return_tensors="pt")
    width = encoding["input_ids"].shape[1]
    if width == 0 or (shown.limit is not None and width > shown.limit):
        return [math.nan] * len(labels_of(model.config))
    given = accepted(model, **{key: value.to(model.device) for key, value in encoding.items()})
    outputs: list[float] = model(**given).logits[0].float().tolist()
    return outputs

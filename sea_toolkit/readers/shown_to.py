"""What a classifier is shown, as far as its folder tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.template import has_template
from sea_toolkit.models.heads import HeadedModel, PairwiseModel
from sea_toolkit.readers.shown_pair import ShownPair
from sea_toolkit.readers.shown_text import Reading, ShownText, TextForm

Shown = ShownText | ShownPair
"""What a classifier may be shown."""


def text_form(model: Any, tokenizer: Any) -> TextForm:
    """What a model's config, its head and its tokenizer say of the texts that it reads.

    A cross-encoder of sentence-transformers says so in its config. transformers reads a decoder at the last token that
    is no padding, which is not the end of a text whose turns end with the padding token.

    Args:
        model: a sequence classifier, or a `HeadedModel`.
        tokenizer: its own.
    """
    config = model.config.to_dict()
    padding = model.config.get_text_config().to_dict().get("pad_token_id")
    if not isinstance(model, HeadedModel):
        return TextForm(pair="sentence_transformers" in config, unread=padding if is_decoder(model) else None)
    read_out = config.get("reward_token_id", tokenizer.cls_token_id)
    form = model.form
    return TextForm(
        frame=form.frame,
        unread=padding if form.read_at == "before padding" else None,
        read_out=read_out if form.read_at == "read-out token" else None,
    )


def is_decoder(model: Any) -> bool:
    """Whether a classifier is read at its last token; an encoder has another kind of head."""
    return hasattr(model, "score") and not model.config.is_encoder_decoder


def shown_to(
    model: Any,
    tokenizer: Any,
    name: str,
    reads: Reading = "auto",
    *,
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
) -> Shown:
    """From prompt and answer to what a classifier reads.

    Args:
        model: the classifier.
        tokenizer: its own.
        name: its name, for messages.
        reads: what the recipe says.
        truncate: leave out the beginning of a prompt that is too long.
        template_options: variables of the chat template.

    Raises:
        RecipeError: options that do not go with what is read.
        ModelError: "chat" and no template; or a model that compares answers.
    """
    if isinstance(model, PairwiseModel):
        raise ModelError(
            f"{name} compares an answer with another one, and scores none by itself",
            expected="a reward of single answers here; the energy `reward` takes such a model",
        )
    form, limit = text_form(model, tokenizer), usable_positions(model)
    if reads == "pair" or (reads == "auto" and form.pair and not has_template(tokenizer)):
        if template_options:
            raise RecipeError(f"template_options for {name}, which reads a pair", expected='reads = "chat"')
        return ShownPair(tokenizer, name, limit=limit, truncate=truncate)
    return ShownText(
        tokenizer, name, reads, limit=limit, truncate=truncate, template_options=template_options, form=form
    )

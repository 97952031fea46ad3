"""How many tokens a model can read, and what to do with longer texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jaxtyping import Bool
from torch import Tensor, nn

from sea_toolkit.errors import RecipeError

Frame = TypeVar("Frame")
_TABLES = ("position_embeddings", "wpe", "embed_positions")
"""What transformers calls tables of learned positions."""


def usable_positions(model: Any) -> int | None:
    """How many tokens a transformers model reads at most, or None if it does not say.

    The smaller one of what the config says and of the table of learned positions, less the rows of that table that no
    token gets: RoBERTa and its kin count from `padding_idx + 1`, OPT and its kin from an offset.
    """
    limits = [getattr(model.config.get_text_config(), "max_position_embeddings", None)]
    for path, module in model.named_modules():
        if path.rpartition(".")[2] in _TABLES and isinstance(module, nn.Embedding):
            skipped = getattr(module, "offset", 0) if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - int(skipped))
    stated = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(stated, default=None)


def fitting_frames(
    prompts: Sequence[str],
    frame: Callable[[str], Frame],
    width: Callable[[Frame], int],
    length: int,
    limit: int | None,
    name: str,
    *,
    tokenizer: Any,
    truncate: bool = False,
) -> list[Frame]:
    """The text around the answer for each prompt, if the model has the positions to read it with an answer inside.

    Args:
        prompts: P texts.
        frame: makes the text around the answer of a prompt.
        width: tokens of a frame.
        length: tokens of the longest answer.
        limit: of the model that reads (see `usable_positions`).
        name: its name, for messages.
        tokenizer: its tokenizer.
        truncate: leave out the beginning of a prompt that is too long, token by token, until the rest fits. Where not
            even an answer alone fits, its end is cut (see `cut_answers`).

    Raises:
        RecipeError: frame and answer together have more tokens than the model has positions.
    """
    frames = []
    for i, prompt in enumerate(prompts):
        around = frame(prompt)
        total = width(around)
        if truncate and limit is not None:
            around = shortened(prompt, frame, width, limit - length, tokenizer)
        room = length if not truncate else 1
        if limit is not None and width(around) + room > limit:
            raise RecipeError(
                f"prompt {i + 1} has {total} tokens, and {length} more are to be written",
                expected=f"at most {limit} together ({name})",
                hint="shorten the prompt or lower --max-new-tokens"
                + ("" if truncate else ", or set truncate = true, which leaves out the beginning of the prompt"),
            )
        frames.append(around)
    return frames


def shortened(
    prompt: str, frame: Callable[[str], Frame], width: Callable[[Frame], int], room: int, tokenizer: Any
) -> Frame:
    """The frame of a prompt, of whose beginning just enough is left out that the frame fits.

    Args:
        prompt: a text.
        frame: makes what is read of a prompt.
        width: tokens of a frame.
        room: tokens that a frame may have; if even an empty prompt has more, its frame is returned.
        tokenizer: of the model that reads.
    """
    around = frame(prompt)
    while width(around) > room and prompt:
        ids, excess = tokenizer(prompt, add_special_tokens=False).input_ids, width(around) - room
        prompt = tokenizer.decode(ids[excess:], skip_special_tokens=False) if excess < len(ids) else ""
        around = frame(prompt)
    return around


def fitting_answers(length: int, around: int, limit: int | None, name: str, *, truncate: bool | None = None) -> None:
    """Refuse answers that are too long for a model which reads them without their prompt.

    Args:
        length: tokens of the longest answer.
        around: tokens before and after it.
        limit: of the model that reads.
        name: its name, for messages.
        truncate: their end may be cut; None where there is no such option.

    Raises:
        RecipeError: they do not fit.
    """
    if limit is not None and not truncate and length + around > limit:
        raise RecipeError(
            f"an answer has up to {length} tokens, with {around} more around it",
            expected=f"at most {limit} together ({name})",
            hint="lower --max-new-tokens"
            + ("" if truncate is None else ", or set truncate = true, which cuts off the end of answers"),
        )


def fitting_texts(
    widths: Sequence[int], around: int, limit: int | None, name: str, *, what: str, truncate: bool = False
) -> None:
    """Refuse texts of a recipe that are too long for the model, unless their end may be cut.

    Args:
        widths: tokens of each text.
        around: special tokens around a text.
        limit: of the model that reads.
        name: its name, for messages.
        what: the texts' place in a recipe.
        truncate: their end may be cut.

    Raises:
        RecipeError: a text does not fit.
    """
    for i, count in enumerate(widths):
        if limit is not None and not truncate and count + around > limit:
            raise RecipeError(
                f"text {i + 1} of {what} has {count + around} tokens",
                expected=f"at most {limit} ({name})",
                hint="a shorter text, or truncate = true, which cuts off the end of texts",
            )


def cut_answers(
    tensors: Sequence[Tensor], mask: Bool[Tensor, "P C T"], around: int, limit: int | None
) -> tuple[list[Tensor], Bool[Tensor, "P C kept"], Bool[Tensor, "P C"]]:
    """Answers cut to the positions that are left for them, and which of them had tokens after the cut.

    A text that is tokenized again may have more tokens than were drawn, so even what was checked beforehand can be too
    long; a model with learned positions would fail on it.

    Args:
        tensors: `[P, C, T, …]`, to be cut with the mask.
        mask: where an answer has a token.
        around: tokens that stand before and after the answer.
        limit: of the model (see `usable_positions`).
    """
    room = mask.shape[-1] if limit is None else max(1, limit - around)
    return [tensor[:, :, :room] for tensor in tensors], mask[..., :room], mask[..., room:].any(-1)

"""Which tokens end an answer: those of the tokenizer, of the generation config and of the chat template."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.template import ChatTemplate


@dataclass(frozen=True)
class EndOfTurn:
    """The tokens that end an answer.

    Attributes:
        ids: all of them, in ascending order; the first fills rows up.
        usual: the one appended to a finished text that comes without token ids.
        notes: what a person should know about them.
    """

    ids: tuple[int, ...]
    usual: int
    notes: tuple[str, ...]


def end_of_turn(
    model: Any, tokenizer: Any, chat: ChatTemplate | None, writable: Container[int], name: str
) -> EndOfTurn:
    """Collect the end tokens of a model.

    Args:
        model: with a `generation_config`, or without.
        tokenizer: the model's.
        chat: the template that prompts are put in, or None for plain ones.
        writable: token ids that the model can write.
        name: of the model.

    Raises:
        ModelError: there is none.
    """
    listed = [*_configured(model), *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])]
    notes = []
    outside = [i for i in listed if not isinstance(i, int) or i not in writable]  # a config may list anything
    if outside:
        told = ", ".join(sorted({repr(i) for i in outside}))
        notes.append(f"{name}: the end-of-text ids [{told}] are no tokens of the model and are left out")
    listed = [i for i in listed if i not in outside]
    turn, said = _written_by(chat, tokenizer, name)
    notes += said
    if turn not in writable:
        turn = None
    if turn is not None and turn not in listed:
        notes.append(
            f"{name}: the chat template ends an answer with {tokenizer.convert_ids_to_tokens(turn)!r}, which neither "
            "the tokenizer nor the generation config lists as an end of text; it counts as one"
        )
    ids = sorted({*listed, *([] if turn is None else [turn])})
    if not ids:
        raise ModelError(
            f"{name} has no end-of-text token",
            hint="set tokenizer.eos_token, or model.generation_config.eos_token_id",
        )
    usual = tokenizer.eos_token_id if turn is None else turn
    return EndOfTurn(tuple(ids), usual if usual in ids else ids[0], tuple(notes))


def _configured(model: Any) -> list[Any]:
    config = getattr(model, "generation_config", None)
    ids = getattr(config, "eos_token_id", None)
    return [] if ids is None else list(ids) if isinstance(ids, list | tuple) else [ids]


def _written_by(chat: ChatTemplate | None, tokenizer: Any, name: str) -> tuple[int | None, Sequence[str]]:
    """The token that the template writes after an answer, if it is a single token."""
    frame = None if chat is None else chat.frame
    if frame is None or not frame.after.strip():
        return None, ()
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ids = tokenizer(frame.after.lstrip(), add_special_tokens=False).input_ids
    first = next((i for i in ids if i in special or tokenizer.decode([i]).strip()), None)
    if first in special:
        return first, ()
    words = frame.after.strip().partition("\n")[0][:40]
    return None, [
        f"{name}: the chat template ends an answer with {words!r}, which is no single token: answers may run on"
    ]

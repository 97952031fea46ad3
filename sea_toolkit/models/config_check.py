"""A model's config beside its weights: where they do not agree, transformers builds another model, without a word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.models.weights_files import Shapes

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "ffn_dim", "vocab_size")
_SLACK = 64
"""How many times all numbers of a model its embedding may have by the config: shared and factorized weights."""
_EXPECTED = "the config that the weights were saved with"


def refuse_impossible_sizes(config: Mapping[str, Any], shapes: Shapes, name: str) -> None:
    """Refuse a config whose layers or widths cannot be those of the weights, before a model is built from it.

    Args:
        config: the contents of config.json.
        shapes: of the weights.
        name: of the model, for messages.

    Raises:
        ModelError: a layer has not even one tensor, or a width is more than all numbers of the weights.
    """
    numbers = sum(math.prod(shape) for shape in shapes.values())
    for table in (config, config.get("text_config")):
        if not isinstance(table, Mapping):
            continue
        for keys, most, what in ((_LAYERS, len(shapes), "tensors"), (_WIDTHS, numbers, "numbers")):
            for key in keys:
                value = table.get(key)
                if isinstance(value, int) and not 1 <= value <= most:
                    raise ModelError(
                        f"the config of {name} has {key} = {value}, and its weights have {most} {what}",
                        expected=_EXPECTED,
                    )
        hidden, vocabulary = table.get("hidden_size"), table.get("vocab_size")
        if isinstance(hidden, int) and isinstance(vocabulary, int) and hidden * vocabulary > _SLACK * numbers:
            raise ModelError(
                f"the config of {name} has {vocabulary} tokens of width {hidden}, and its weights {numbers} numbers",
                expected=_EXPECTED,
            )


def refuse_unread_layers(unread: Iterable[str], read: Iterable[str], name: str) -> None:
    """Refuse weights of layers that the config does not count: the model would be a part of itself.

    Args:
        unread: names of tensors in the files that the model has no place for.
        read: names of the model's tensors.
        name: of the model, for messages.

    Raises:
        ModelError: a name is that of a tensor of the model, but for its number.
    """
    known = {_unnumbered(key) for key in read}
    layers = sorted(key for key in unread if _unnumbered(key) != key and _unnumbered(key) in known)
    if layers:
        raise ModelError(
            f"the weights of {name} have more layers than its config counts: {', '.join(layers[:3])}"
            + (", …" if len(layers) > 3 else ""),
            expected=_EXPECTED,
        )


def _unnumbered(key: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", key)

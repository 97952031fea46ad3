"""The last projection of a classifier in float32, whatever the precision of the body under it.

bfloat16 has 8 significant bits: between 16 and 32 its values are 1/8 apart, so that rewards of different texts tie.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_HEADS = ("score", "classifier", "classifier.out_proj", "classification_head.out_proj")
"""Where transformers' sequence classifiers keep the projection to their outputs."""


class Float32Linear(nn.Linear):
    """A projection whose weights and result are float32; its input may be of any floating dtype."""

    def forward(self, input: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows L"]:
        return nn.functional.linear(input.float(), self.weight, self.bias)


def float32_head(model: Any) -> Any:
    """Upcast the head of a sequence classifier in place, and return the model.

    A head other than a plain `nn.Linear` with one of the usual names (a quantized one, several layers) is left as it
    is.
    """
    modules = dict(model.named_modules())
    for path in _HEADS:
        head = modules.get(path)
        if type(head) is not nn.Linear or head.weight.dtype == torch.float32 or not head.weight.is_floating_point():
            continue
        upcast = Float32Linear(head.in_features, head.out_features, head.bias is not None, device="meta")
        upcast.load_state_dict({k: v.detach().float() for k, v in head.state_dict().items()}, assign=True)
        parent, _, name = path.rpartition(".")
        setattr(modules[parent], name, upcast.train(head.training).requires_grad_(head.weight.requires_grad))
    return model

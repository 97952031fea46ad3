"""Files of compasses: safetensors with what they were made of, and a hash of both.

Where the gradient of an energy comes through a table `[V, D]`, as that of a probe does through the policy's embedding,
so does its mean: the file then holds the mean `[D]` alone, and the variance as `[R, D]`, whose squared products with
the table add up to it; tokens that the energy asks for by name, as those that end a text, stand beside it. Else mean
and variance are `[V]`, in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fact_file import FactFile
from sea_toolkit.problem.compass import Compass

FORMAT = "sea_toolkit compass 1"
_AGAIN = "sea-toolkit fit-compass makes it again"


@dataclass(frozen=True)
class CompassInfo:
    """What is known about a compass; saved with it as text.

    Attributes:
        label: the term's name where it was made.
        reward: stands for the energy that it is of, see `sea_toolkit.problem.reward_identity`.
        policy: whose texts these were, by name.
        vocabulary: of the policy, see `tokenizer_fingerprint`.
        count: texts that it stands for.
        source: gradients in texts of the policy, or what the energy says of single words.
        prompts: how many there were.
        max_new_tokens: of the texts.
        seed: of the draws.
        version: of this package.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    label: str
    reward: str
    policy: str
    vocabulary: str
    count: Annotated[float, Field(gt=0)]
    source: Literal["gradients", "words"]
    prompts: Annotated[int, Field(ge=0)]
    max_new_tokens: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]
    version: str


@dataclass(frozen=True, eq=False)
class CompassFile:
    """What a file holds.

    Attributes:
        path: of the file.
        info: what is known about it.
        tensors: `mean` and `variance` `[V]`; or `mean` `[D]` and `factor` `[R, D]`, and for N tokens by name `tokens`,
            `token_mean` and `token_variance` `[N]`.
    """

    path: Path
    info: CompassInfo
    tensors: dict[str, Tensor]

    def compass(self, table: Float[Tensor, "V D"], length: int) -> Compass:
        """The compass for answers of a length, on the table's device: what one token does is one part in T of the text.

        Args:
            table: the policy's embedding.
            length: T, the response positions of the run.

        Raises:
            ModelError: it is for another number of tokens, or another width of the embedding.
        """
        mean, size = self.tensors["mean"], len(table) if "variance" in self.tensors else table.shape[1]
        if len(mean) != size:
            raise ModelError(
                f"{self.path} has {len(mean)} numbers", expected=f"{size}, as this policy has", hint=_AGAIN
            )
        return compass_of(self.tensors, self.info.count, table).scaled(self.info.max_new_tokens / length)


def compass_of(tensors: dict[str, Tensor], count: float, table: Float[Tensor, "V D"]) -> Compass:
    """The compass of a file's tensors, on the table's device.

    Args:
        tensors: see `CompassFile`.
        count: texts that it stands for.
        table: the policy's embedding.
    """
    device, known = table.device, table.float()
    mean = tensors["mean"].to(device).float()
    if "variance" in tensors:
        return Compass(mean, tensors["variance"].to(device).float(), count)
    factor, named = tensors["factor"].to(device).float(), tensors["tokens"].to(device)
    mean, variance = known @ mean, (known @ factor.T).square().sum(-1)
    mean[named] = tensors["token_mean"].to(mean)
    variance[named] = tensors["token_variance"].to(mean)
    return Compass(mean, variance, count)


COMPASS = FactFile(
    name="compass",
    format=FORMAT,
    schema=CompassInfo,
    maker="sea-toolkit fit-compass",
    wanted="a compass",
    missing="check the path, or fit-compass --out it",
    again=_AGAIN,
)


def write_compass(path: Path, tensors: dict[str, Tensor], info: CompassInfo) -> None:
    """Write a compass, whole or not at all.

    Args:
        path: of the file; its folder is made if need be.
        tensors: see `CompassFile`, on the CPU.
        info: what is known about it.

    Raises:
        ModelError: the file cannot be written.
    """
    COMPASS.write(path, tensors, info)


def read_compass(path: Path) -> CompassFile:
    """The compass in a file.

    Raises:
        ModelError: no such file, not a compass, or not the bytes that were written.
    """
    tensors, info = COMPASS.read(path)
    _check(path, tensors)
    return CompassFile(path, info, tensors)


_FORMS = ({"mean", "variance"}, {"mean", "factor", "tokens", "token_mean", "token_variance"})


def _check(path: Path, tensors: dict[str, Tensor]) -> None:
    """Refuse tensors that do not go together."""
    fits = set(tensors) in _FORMS and tensors["mean"].ndim == 1
    if fits and "variance" in tensors:
        fits = tensors["variance"].shape == tensors["mean"].shape
    elif fits:
        names = tensors["tokens"]
        fits = tensors["factor"].shape[1:] == tensors["mean"].shape and names.dtype == torch.long and names.ndim == 1
        fits = fits and names.shape == tensors["token_mean"].shape == tensors["token_variance"].shape
    numbers = [tensor for name, tensor in tensors.items() if name != "tokens"]
    if not fits or not all(t.is_floating_point() and bool(t.isfinite().all()) for t in numbers):
        told = ", ".join(f"{name} {list(t.shape)} {str(t.dtype)[6:]}" for name, t in sorted(tensors.items()))
        raise ModelError(
            f"{path} is a damaged compass: {told}",
            expected=" or ".join(", ".join(sorted(form)) for form in _FORMS) + ", all finite",
            hint=_AGAIN,
        )

"""Which policy a recipe asks for: plain data."""

from __future__ import annotations

import datetime
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sea_toolkit.errors import RecipeError

DType = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]
Quantization = Literal["bitsandbytes-4bit", "bitsandbytes-8bit", "torchao-int8"]
DeviceMap = Literal["auto", "balanced", "balanced_low_0", "sequential"] | dict[str, int | str]


class Strict(BaseModel):
    """Data without unknown keys, in exactly the declared types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _iso(value: Any) -> Any:
    """A date of TOML as text: a recipe is plain data, in JSON too."""
    return value.isoformat() if isinstance(value, datetime.date) else value


def _is_date(value: str) -> str:
    datetime.date.fromisoformat(value)
    return value


def _torch_name(value: Any) -> Any:
    """`torch.float32` and `torch.device("cpu")` by their names. Nobody has one of them without having torch."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.dtype | torch.device):
        return str(value).removeprefix("torch.")
    return value


Day = Annotated[str, BeforeValidator(_iso), AfterValidator(_is_date)]


class PolicySpec(Strict):
    """Which causal LM answers, and how a prompt is put to it.

    `revision` pins a model of the Hugging Face hub, `adapter` is put onto the model, `quantization` is done while it is
    read, and `device_map` spreads it over devices, as transformers' own does. `tensor_parallel_size` is over how many
    processes its weights are shared out, and `compile` has its blocks compiled by torch. `system`, `template_options`,
    `chat_template` and `date` say how the chat template is rendered; see `Policy`.
    """

    model: str = "smollm2-135m"
    revision: str | None = Field(default=None, min_length=1)
    adapter: str | None = Field(default=None, min_length=1)
    quantization: Quantization | None = None
    device_map: DeviceMap | None = None
    tensor_parallel_size: int | None = Field(default=None, ge=1)
    compile: bool = False
    template: Literal["auto", "chat", "plain"] = "auto"
    system: str | None = None
    template_options: dict[str, Any] = Field(default_factory=dict)
    chat_template: str | None = None
    date: Day | None = None

    @property
    def name(self) -> str:
        """What the policy is called: its model, and what is done to it."""
        parts = [self.model if self.revision is None else f"{self.model}@{self.revision}", self.adapter]
        return " + ".join(part for part in (*parts, self.quantization) if part is not None)

    def refuse_beside_object(self) -> None:
        """For a policy that was given as an object, which is loaded already, and whose template is settled.

        Raises:
            RecipeError: there is such a setting.
        """
        keys = {"revision", "adapter", "quantization", "device_map", "tensor_parallel_size", "compile"}
        read = self.model_dump(include=keys)
        for key in (key for key, value in read.items() if value):
            raise RecipeError(
                f"policy.{key} is set, and the policy is an object of your own", expected="the model as it is to be"
            )
        settings = self.model_dump(include={"system", "template_options", "chat_template", "date"})
        set_keys = [key for key, value in settings.items() if value]
        if set_keys:
            raise RecipeError(
                f"policy.{set_keys[0]} is set, and the policy is an object of your own",
                expected=f"Policy(model, tokenizer, {set_keys[0]}=…)",
            )

    device: Annotated[str, BeforeValidator(_torch_name)] = "auto"
    dtype: Annotated[DType, BeforeValidator(_torch_name)] = "auto"
    attention: Attention = "auto"

"""Which policy a recipe asks for: plain data."""

from __future__ import annotations

import datetime
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sea_toolkit.errors import RecipeError

DType = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]


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

    `system`, `template_options`, `chat_template` and `date` say how the chat template is rendered; see `Policy`.
    """

    model: str = "smollm2-135m"
    template: Literal["auto", "chat", "plain"] = "auto"
    system: str | None = None
    template_options: dict[str, Any] = Field(default_factory=dict)
    chat_template: str | None = None
    date: Day | None = None

    def refuse_template_settings(self) -> None:
        """For a policy that was given as an object, whose template is settled.

        Raises:
            RecipeError: there is such a setting.
        """
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

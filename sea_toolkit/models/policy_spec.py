"""Which policy a recipe asks for: plain data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

DType = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]


class Strict(BaseModel):
    """Data without unknown keys, and of the very types that it says."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PolicySpec(Strict):
    """Which causal LM answers, and how a prompt is put to it."""

    model: str = "smollm2-135m"
    template: Literal["auto", "chat", "plain"] = "auto"
    device: str = "auto"
    dtype: DType = "auto"
    attention: Attention = "auto"
    trust_remote_code: bool = False

"""The user's word on Python that comes with a model, wherever transformers asks for it.

transformers passes `trust_remote_code` on to most, not all, of the calls that one `from_pretrained` makes (a sequence
classifier makes its body without it), and asks on the terminal where the value is missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sea_toolkit.errors import ModelError

_IMPLEMENTATION = ("attn_implementation", "experts_implementation")
_WORD: ContextVar[bool | None] = ContextVar("trust_remote_code", default=None)


@contextmanager
def user_said(trust_remote_code: bool) -> Iterator[None]:
    """Inside the block, and in this thread alone, transformers takes this word where it would ask."""
    from transformers.models.auto import auto_factory, configuration_auto, tokenization_auto

    modules: tuple[Any, ...] = (auto_factory, configuration_auto, tokenization_auto)
    for module in modules:
        resolve = module.resolve_trust_remote_code
        if not isinstance(resolve, _Answering):
            module.resolve_trust_remote_code = _Answering(resolve)
    token = _WORD.set(trust_remote_code)
    try:
        yield
    finally:
        _WORD.reset(token)


def refuse_kernels(config: Any, name: str) -> None:
    """Refuse a config that names a kernel of the Hugging Face hub: transformers would fetch it and run it.

    Args:
        config: the contents of config.json, or a part of them.
        name: of the model, for messages.

    Raises:
        ModelError: it names one.
    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key.endswith(_IMPLEMENTATION) and any("/" in text for text in _texts(value)):
                raise ModelError(
                    f"the config of {name} asks for code of the Hugging Face hub: {key} = {value!r}, which was not run",
                    expected="a way to compute that transformers brings, such as sdpa",
                    hint="take it out of config.json, or --trust-remote-code if you trust the model's authors",
                )
            refuse_kernels(value, name)


def _texts(value: Any) -> list[str]:
    entries = value.values() if isinstance(value, Mapping) else [value]
    return [entry for entry in entries if isinstance(entry, str)]


class _Answering(functools.partial):
    """transformers' own function, with the word of the block in place of None; outside of a block it is unchanged."""

    def __call__(self, trust_remote_code: bool | None, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(_WORD.get() if trust_remote_code is None else trust_remote_code, *args, **kwargs)

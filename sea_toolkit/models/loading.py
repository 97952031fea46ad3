"""From a name to weights in memory: policies, language models, classifiers and encoders.

Python that comes with a model runs only where the caller passes `trust_remote_code=True`; nothing asks on a terminal.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.devices import Placed, Placement, pick_device, pick_dtype
from sea_toolkit.lm.float32_head import float32_head
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.vocabulary import guard_rows
from sea_toolkit.models import compiled_blocks
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.folder import facts_of, has_adapter, read_config_file
from sea_toolkit.models.load_options import LoadOptions, at
from sea_toolkit.models.policy_source import find_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.models.quantized import with_true_gradient
from sea_toolkit.models.reading import Role, read_model, read_tokenizer
from sea_toolkit.models.tensor_parallel import refuse_beside, refuse_size


def load_policy(
    spec: PolicySpec,
    finder: ModelFinder,
    check: Callable[[Any], None] | None = None,
) -> Policy:
    """The policy of a recipe.

    Args:
        spec: which model, where and how.
        finder: from its name to a model, and whether its own code may run.
        check: called with the tokenizer before the weights are read, to refuse what cannot go together.

    Raises:
        ModelError: it cannot be found, downloaded or read, or its blocks not be compiled.
        RecipeError: the device does not exist, or is named beside a device map; a revision of a model without any;
            weights that are quantized already are to be quantized; it is to be shared out, and there are not as many
            processes, or another setting says where its weights are; it is to be compiled beside such a setting.
    """
    if spec.device_map is not None and spec.device != "auto":
        raise RecipeError(
            f"the policy has a device ({spec.device}) and a device_map ({spec.device_map})", expected="one of them"
        )
    parts = spec.tensor_parallel_size or 1
    if parts > 1:
        refuse_beside(spec)
        refuse_size(parts, "the policy")
    if spec.compile:
        compiled_blocks.refuse_beside(spec)
    device, trust = pick_device(spec.device), finder.trust_remote_code
    found = find_policy(spec, finder)
    tokenizer = read_tokenizer(found.source, found.name, trust_remote_code=trust, base=found.base)
    if check is not None:
        check(tokenizer)
    finder.progress(0, 0, f"loading {found.name}")
    model = read_model(
        "causal",
        found.source,
        found.name,
        pick_dtype(spec.dtype, device),
        trust_remote_code=trust,
        base=found.base,
        options=LoadOptions(device, spec.attention, spec.quantization, spec.device_map, parts),
    )
    policy = Policy(
        at(model, device) if spec.device_map is None else model,
        tokenizer,
        name=found.name,
        commits=found.commits(trust),
        template=spec.template,
        system=spec.system,
        template_options=spec.template_options,
        chat_template=spec.chat_template,
        date=None if spec.date is None else datetime.date.fromisoformat(spec.date),
    )
    if spec.compile:
        compiled_blocks.compile_blocks(policy.backbone)
    return policy


def load_language_model(source: Path | str, policy: Policy, name: str, *, trust_remote_code: bool = False) -> Policy:
    """A causal LM that an energy asks, on the policy's device and in its dtype; any tokenizer will do.

    Raises:
        ModelError: unreadable, or not fit to be asked (see `Policy`).
    """
    tokenizer = read_tokenizer(source, name, trust_remote_code=trust_remote_code)
    options = LoadOptions(policy.device)
    model = read_model("causal", source, name, policy.dtype, trust_remote_code=trust_remote_code, options=options)
    model = with_true_gradient(at(model, policy.device), name)
    return Policy(model, tokenizer, name=name, date=None if policy.chat is None else policy.chat.date)


def load_encoder(source: Path | str, place: Placed, name: str, *, trust_remote_code: bool = False) -> tuple[Any, Any]:
    """The base of a language model or encoder (no head) and its tokenizer, at the given place; any tokenizer will do.

    Raises:
        ModelError: unreadable.
    """
    tokenizer = read_tokenizer(source, name, trust_remote_code=trust_remote_code)
    # a pooler is a head of its own, and not read; transformers draws one where the file has none
    trust, options = trust_remote_code, LoadOptions(place.device)
    model = read_model("base", source, name, place.dtype, trust_remote_code=trust, unread="pooler.", options=options)
    guard_rows(model.get_input_embeddings(), tokenizer, name)
    return with_true_gradient(at(model, place.device), name), tokenizer


def load_classifier(
    source: Path | str, place: Placed, name: str, *, trust_remote_code: bool = False
) -> tuple[Any, Any]:
    """A sequence classifier and its tokenizer, which need not be the policy's; see `read_classifier`.

    Raises:
        ModelError: unreadable.
    """
    tokenizer = read_tokenizer(source, name, trust_remote_code=trust_remote_code)
    return read_classifier(source, place, name, trust_remote_code=trust_remote_code), tokenizer


def read_classifier(source: Path | str, place: Placed, name: str, *, trust_remote_code: bool = False) -> Any:
    """A sequence classifier at the given place, but for its head, which is float32.

    It has as many outputs as its head has rows, whatever its config says of labels.

    Raises:
        ModelError: unreadable.
    """
    options = LoadOptions(place.device, parts=place.parts if isinstance(place, Placement) else 1)
    model = read_model("classifier", source, name, place.dtype, trust_remote_code=trust_remote_code, options=options)
    return with_true_gradient(at(float32_head(model), place.device), name)


def load_step_classifier(
    source: Path | str, place: Placed, name: str, *, trust_remote_code: bool = False
) -> tuple[Any, Any]:
    """A model with a head that is read at several tokens of a text, and its tokenizer; see `read_classifier`.

    Raises:
        ModelError: unreadable.
    """
    tokenizer = read_tokenizer(source, name, trust_remote_code=trust_remote_code)
    of_tokens = any(kind.endswith("ForTokenClassification") for kind in architectures(source, name, trust_remote_code))
    role: Role = "tokens" if of_tokens else "classifier"
    options = LoadOptions(place.device)
    model = read_model(role, source, name, place.dtype, trust_remote_code=trust_remote_code, options=options)
    return with_true_gradient(at(float32_head(model), place.device), name), tokenizer


def architectures(source: Path | str, name: str, trust_remote_code: bool = False) -> list[str]:
    """The classes that a model was saved with, by its config; none for an adapter.

    Raises:
        ModelError: it cannot be had, or its config not be read.
    """
    folder = facts_of(source, name, trust_remote_code=trust_remote_code)
    if has_adapter(folder):
        return []
    return [str(kind) for kind in read_config_file(folder, name).get("architectures") or []]

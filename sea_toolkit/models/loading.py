"""From a name to weights in memory: policies and sequence classifiers, with errors that a person can act on."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_spec import PolicySpec


def pick_device(wanted: str) -> torch.device:
    """The device of a name; "auto" is the first accelerator there is, else the CPU.

    Raises:
        RecipeError: not a device, or not there.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise RecipeError(f"device {wanted!r} cannot be used: {reason}", hint="auto, cpu, cuda, cuda:1, mps") from error
    return device


def pick_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of a name; "auto" is the fastest one the device computes in.

    A CPU without bfloat16 instructions emulates them several times slower than float32.
    """
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if device.type == "cuda" else torch.float16


def load_policy(
    spec: PolicySpec,
    finder: ModelFinder,
    check: Callable[[Any], None] | None = None,
) -> Policy:
    """The policy of a recipe.

    Args:
        spec: which model, where and how.
        finder: from its name to a model.
        check: called with the tokenizer before the weights are read, to refuse what cannot go together.

    Raises:
        ModelError: it cannot be found, downloaded or read.
        RecipeError: the device does not exist.
    """
    device = pick_device(spec.device)
    source = find_language_model(spec.model, finder)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code}
    tokenizer = _read(AutoTokenizer, source, spec.model, options)
    if check is not None:
        check(tokenizer)
    options["dtype"] = pick_dtype(spec.dtype, device)
    options |= {} if spec.attention == "auto" else {"attn_implementation": spec.attention}
    model = _read_model(AutoModelForCausalLM, source, spec.model, options)
    return Policy(
        model.to(device),
        tokenizer,
        name=spec.model,
        template=spec.template,
        system=spec.system,
        template_options=spec.template_options,
        chat_template=spec.chat_template,
        date=None if spec.date is None else datetime.date.fromisoformat(spec.date),
    )


def find_language_model(name: str, finder: ModelFinder) -> Path | str:
    """Where a causal LM is to be loaded from: a folder, or a Hugging Face id.

    Raises:
        ModelError: it cannot be found, or is no language model.
    """
    source = finder.find(name, "policy")
    if isinstance(source, Path) and source.is_file():
        raise ModelError(f"{name} is a file", expected="the folder of a transformers model")
    return source


def load_language_model(source: Path | str, policy: Policy, name: str) -> Policy:
    """A causal LM that an energy asks, on the policy's device and in its dtype; any tokenizer will do.

    Raises:
        ModelError: unreadable, or not fit to be asked (see `Policy`).
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = _read(AutoTokenizer, source, name, {})
    model = _read_model(AutoModelForCausalLM, source, name, {"dtype": policy.dtype})
    return Policy(model.to(policy.device), tokenizer, name=name, date=None if policy.chat is None else policy.chat.date)


def load_encoder(source: Path | str, policy: Policy, name: str) -> tuple[Any, Any]:
    """The base of a model (no head) and its tokenizer, on the policy's device and in its dtype; any tokenizer will do.

    Raises:
        ModelError: unreadable.
    """
    from transformers import AutoModel, AutoTokenizer

    tokenizer = _read(AutoTokenizer, source, name, {})
    # a pooler is a head of its own, and not read; transformers draws one where the file has none
    with torch.random.fork_rng(devices=[]):
        model = _read_model(AutoModel, source, name, {"dtype": policy.dtype}, without="pooler.")
    return model.to(policy.device).eval().requires_grad_(False), tokenizer


def check_tokenizer(source: Path | str, name: str, policy_tokenizer: Any) -> Any:
    """The tokenizer of a sequence classifier, if it has the policy's vocabulary.

    Raises:
        ModelError: unreadable, or another vocabulary.
    """
    from transformers import AutoTokenizer

    tokenizer = _read(AutoTokenizer, source, name, {})
    if not same_vocabulary(tokenizer, policy_tokenizer):
        raise ModelError(
            f"the reward model {name} has another tokenizer than the policy "
            f"({len(tokenizer)} and {len(policy_tokenizer)} tokens)",
            expected="the same vocabulary: a relaxed response is a mixture of the policy's tokens",
            hint="a reward model of the policy's family, or a probe (sea-toolkit train-probe)",
        )
    return tokenizer


def load_classifier(source: Path | str, policy: Policy, name: str) -> tuple[Any, Any]:
    """A sequence classifier and its tokenizer, on the policy's device and in its dtype.

    Raises:
        ModelError: unreadable, or its tokenizer is not the policy's (found before its weights are read).
    """
    from transformers import AutoModelForSequenceClassification

    tokenizer = check_tokenizer(source, name, policy.tokenizer)
    model = _read_model(AutoModelForSequenceClassification, source, name, {"dtype": policy.dtype})
    return model.to(policy.device).eval().requires_grad_(False), tokenizer


def _read_model(loader: Any, source: Path | str, name: str, options: dict[str, Any], without: str | None = None) -> Any:
    """Weights from safetensors only (a pickle can run code), and all of them (but those whose names begin with
    `without`): transformers fills gaps at random."""
    model, report = _read(loader, source, name, {**options, "use_safetensors": True, "output_loading_info": True})
    missing = sorted(key for key in report["missing_keys"] if without is None or not key.startswith(without))
    if missing:
        raise ModelError(
            f"{name} lacks weights: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}",
            expected=f"a complete {type(model).__name__}",
            hint="for a reward, a model that was trained with its head; a bare language model has none",
        )
    return model


def _read(loader: Any, source: Path | str, name: str, options: dict[str, Any]) -> Any:
    try:
        with quiet_transformers():
            return loader.from_pretrained(str(source), **options)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # transformers raises whatever its parsers raise
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{name} cannot be loaded from {source}: {type(error).__name__}: {reason}",
            expected="a transformers model with safetensors weights and a tokenizer",
            hint="check the name and the network, or remove a damaged copy (sea-toolkit models list --verify)",
        ) from error

"""Quantized weights: read by the packages that are installed, and believed only with a gradient that is their slope."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sea_toolkit.errors import ModelError
from sea_toolkit.models.loading import load_classifier, load_language_model
from sea_toolkit.models.quantized import keep_gradients, method_of, with_true_gradient
from tests.helpers import random_ids, tiny_policy
from tests.models.folders import edit_config, save_classifier, save_policy


class NoGradient(nn.Linear):
    """Like the kernel of a package that is made for inference."""

    def forward(self, input):
        return super().forward(input.detach())


class Stairs(nn.Linear):
    """Like a kernel that multiplies in 8 bits: each row of its inputs is rounded to 127 steps to each side."""

    def forward(self, input):
        step = input.detach().abs().amax(-1, keepdim=True) / 127
        return super().forward(input + ((input / step).round() * step - input).detach())


@pytest.mark.parametrize("layer", [nn.Linear, Stairs, NoGradient])
def test_a_gradient_that_is_not_the_slope_of_the_values_is_refused(layer, tmp_path):
    model, _ = load_classifier(save_classifier(tmp_path), tiny_policy(), "m")
    assert method_of(model) is None
    model.config.quantization_config = {"quant_method": "somehow"}
    assert method_of(model) == "somehow"
    for path, old in [(path, old) for path, old in model.named_modules() if isinstance(old, nn.Linear)]:
        if layer is not NoGradient or path.endswith(("up_proj", "gate_proj", "v_proj")):
            part, _, name = path.rpartition(".")
            new = layer(old.in_features, old.out_features, bias=False)
            new.load_state_dict(old.state_dict())
            model.get_submodule(part).add_module(name, new)
    if layer is not NoGradient:
        assert with_true_gradient(model, "m") is model
    else:
        with pytest.raises(ModelError, match="m is quantized by somehow, and its gradient is not the slope"):
            with_true_gradient(model, "m")


def test_layers_that_would_pack_their_weights_for_inference_do_not():
    layer = nn.Linear(2, 2)
    layer.support_avx512bf16_for_cpu = True
    keep_gradients(nn.Sequential(layer, nn.ReLU()))
    assert layer.support_avx512bf16_for_cpu is False


@pytest.mark.parametrize(
    ("method", "package"),
    [("bitsandbytes", "bitsandbytes"), ("torchao", "torchao"), ("compressed-tensors", "compressed-tensors"),
     ("gptq", "optimum|gptqmodel"), ("awq", "gptqmodel|autoawq")],
)  # fmt: skip
def test_a_package_that_is_not_installed_is_named(method, package, tmp_path, monkeypatch):
    import importlib.util

    if importlib.util.find_spec(package.partition("|")[0].replace("-", "_")) is not None:
        pytest.skip(f"{package} is installed")
    folder = save_policy(tmp_path)
    kinds = {"bitsandbytes": {"load_in_4bit": True}, "torchao": {"quant_type": "int8wo"}}
    edit_config(
        folder, quantization_config={"quant_method": method, "bits": 4, "group_size": 32, **kinds.get(method, {})}
    )
    with pytest.raises(ModelError) as refused:
        load_language_model(folder, tiny_policy(), "m")
    assert any(name in str(refused.value) for name in package.split("|"))


def quantized(kind, model, folder, tmp_path):
    """The folder, with weights that the package has quantized."""
    if kind == "torchao":
        pytest.importorskip("torchao")
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        config = TorchAoConfig(Int8WeightOnlyConfig())
    else:
        pytest.importorskip("bitsandbytes")
        from transformers import BitsAndBytesConfig

        config = BitsAndBytesConfig(load_in_4bit=kind == "4 bit", load_in_8bit=kind == "8 bit")
    small = type(model).from_pretrained(folder, quantization_config=config, dtype=torch.float32)
    small.save_pretrained(tmp_path / "small")
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "small")
    return small, tmp_path / "small"


@pytest.mark.parametrize("kind", ["4 bit", "8 bit", "torchao"])
@pytest.mark.parametrize("role", ["language model", "classifier"])
def test_quantized_weights_score_as_transformers_reads_them_and_have_a_gradient(kind, role, tmp_path):
    """Where the packages are installed."""
    from transformers import LlamaForCausalLM, LlamaForSequenceClassification

    saved = save_policy(tmp_path / "whole") if role == "language model" else save_classifier(tmp_path / "whole")
    cls = LlamaForCausalLM if role == "language model" else LlamaForSequenceClassification
    own, folder = quantized(kind, cls.from_pretrained(saved), saved, tmp_path)
    keep_gradients(own)  # the packed form has no room for layers this small
    policy, ids = tiny_policy(), random_ids(1, 6, low=10)
    if role == "language model":
        model = load_language_model(folder, policy, "m").model
    else:
        model, _ = load_classifier(folder, policy, "m")
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, own(ids).logits, rtol=1e-3, atol=1e-3)
    assert with_true_gradient(model, "m") is model

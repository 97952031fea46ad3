"""From quantized GGUF weights to a folder of safetensors which transformers loads in a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models.cache import disk_errors
from sea_toolkit.models.remote_code import user_said
from sea_toolkit.util.progress import Progress


def gguf_to_safetensors(gguf: Path, folder: Path, progress: Progress) -> None:
    """De-quantize a GGUF file into `folder`: bfloat16 safetensors, config, generation config and tokenizer.

    Takes about 20 s and 1 GB of memory for 135 million parameters.

    Raises:
        ModelError: transformers cannot read the file, or the folder cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    what = "de-quantizing the weights (once)"
    progress(0, 1, what)
    try:
        with quiet_transformers(), user_said(False), _reported(progress, what):
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    except Exception as error:  # a damaged file makes the parser raise anything, struct.error included
        raise ModelError(
            f"transformers cannot read the weights in {gguf.name}: {error}",
            hint="pip install --upgrade transformers gguf accelerate",
        ) from error
    # A model loaded from quantized weights refuses to be saved; a fresh one with its tensors does not.
    options = loaded.config.to_dict()
    options.pop("quantization_config", None)
    config = AutoConfig.for_model(options.pop("model_type"), **options)
    with quiet_transformers(), disk_errors(folder):
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        fresh.load_state_dict(loaded.state_dict())
        fresh.generation_config = GenerationConfig.from_model_config(config)
        try:
            fresh.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except SafetensorError as error:  # what a full disk looks like from inside the safetensors writer
            raise OSError(str(error)) from error


@contextmanager
def _reported(progress: Progress, what: str) -> Iterator[None]:
    """Send the tensor count of transformers' GGUF reader to `progress` instead of to the terminal."""
    import transformers.modeling_gguf_pytorch_utils as reader

    def counted(items: Iterable[Any], **_: Any) -> Iterator[Any]:
        rows = list(items)
        for done, item in enumerate(rows, 1):
            yield item
            progress(done, len(rows), what)

    before = getattr(reader, "tqdm", None)
    if before is None:  # another version reports in another way; nothing to replace
        yield
        return
    reader.tqdm = counted
    try:
        yield
    finally:
        reader.tqdm = before

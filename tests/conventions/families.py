"""How popular families of chat models write a conversation and end an answer: facts from their published tokenizers."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import AddedToken

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
THINKING = CHATML.replace(
    "assistant\\n' }}", "assistant\\n' }}{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}",
)  # fmt: skip
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + m['content'] | trim "
    "+ '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
PHI_3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'].strip() + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
TINYLLAMA = ZEPHYR.replace("'<|assistant|>\\n' }}{% endif", "'<|assistant|>' }}{% endif")
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}{% else %}"
    "{{ '<｜Assistant｜>' + m['content'] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
COMMAND_R = (
    "{{ bos_token }}{% for m in messages %}{{ '<|START_OF_TURN_TOKEN|><|' + ('CHATBOT' if m['role'] == 'assistant' "
    "else m['role'] | upper) + '_TOKEN|>' + m['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
TULU = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + (eos_token if m['role'] == 'assistant' "
    "else '') + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
GRANITE = (
    "{% for m in messages %}{{ '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] "
    "+ '<|end_of_text|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)
FALCON = (
    "{% for m in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{{ ('Falcon' if m['role'] == 'assistant' else 'User') + ': ' + m['content'].strip() }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\nFalcon:' }}{% endif %}"
)
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}{% else %}"
    "{{ 'ASSISTANT: ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@dataclass(frozen=True)
class Family:
    """One convention.

    Attributes:
        kind: of tokenizer, see `tokenizers.KINDS`.
        template: Jinja.
        special: special tokens, in the order of their ids.
        eos: `tokenizer.eos_token`; config: what `generation_config.eos_token_id` lists.
        ends: all tokens that end an answer; usual: the one that ends a text without ids.
        prompt: "Hi" as the model reads it.
        gap: white space that the template writes before an answer.
    """

    kind: str
    template: str
    special: tuple[str | AddedToken, ...]
    eos: str
    config: tuple[str, ...]
    ends: tuple[str, ...]
    usual: str
    prompt: str
    gap: str = ""
    bos: str | None = None
    noted: bool = False


_S = ("<s>", "</s>")
_ROLE = [AddedToken(f"<|{role}|>", special=True, rstrip=True) for role in ("user", "assistant", "system", "end")]
_SLASH = {"special": _S, "bos": "<s>", "eos": "</s>", "config": ("</s>",), "ends": ("</s>",), "usual": "</s>"}
FAMILIES = {
    "qwen2.5": Family("byte-bpe", CHATML, _IM, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"),
        ("<|endoftext|>", "<|im_end|>"), "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    "qwen3": Family("byte-bpe", THINKING, _IM, "<|im_end|>", ("<|im_end|>", "<|endoftext|>"),
        ("<|endoftext|>", "<|im_end|>"), "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    "smollm2": Family("byte-bpe", CHATML, _IM, "<|im_end|>", ("<|im_end|>",), ("<|im_end|>",), "<|im_end|>",
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    "turn end in no list": Family("byte-bpe", CHATML, _IM, "<|endoftext|>", ("<|endoftext|>",),
        ("<|endoftext|>", "<|im_end|>"), "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
        noted=True),
    "turn end is no token": Family("byte-bpe", CHATML, ("<|endoftext|>",), "<|endoftext|>", ("<|endoftext|>",),
        ("<|endoftext|>",), "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", noted=True),
    "llama-3": Family("byte-bpe", LLAMA_3,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|end_of_text|>", ("<|end_of_text|>", "<|eot_id|>"), ("<|end_of_text|>", "<|eot_id|>"), "<|eot_id|>",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n", bos="<|begin_of_text|>"),
    "gemma-2": Family("spm-plain", GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), "<eos>",
        ("<eos>", "<end_of_turn>"), ("<eos>", "<end_of_turn>"), "<end_of_turn>",
        "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", bos="<bos>"),
    "gemma-2, early config": Family("spm-plain", GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<eos>", ("<eos>",), ("<eos>", "<end_of_turn>"), "<end_of_turn>",
        "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", bos="<bos>", noted=True),
    "phi-3": Family("spm-legacy", PHI_3, ("<s>", "<|endoftext|>", *_ROLE), "<|endoftext|>",
        ("<|endoftext|>", "<|end|>"), ("<|endoftext|>", "<|end|>"), "<|end|>",
        "<|user|>\nHi<|end|>\n<|assistant|>\n", bos="<s>"),
    "llama-2": Family("spm-legacy", LLAMA_2, prompt="<s>[INST] Hi [/INST]", gap=" ", **_SLASH),
    "mistral": Family("spm-legacy", MISTRAL, prompt="<s>[INST] Hi [/INST]", **_SLASH),
    "zephyr": Family("spm-legacy", ZEPHYR, prompt="<|user|>\nHi</s>\n<|assistant|>\n", **_SLASH),
    "tinyllama": Family("spm-first", TINYLLAMA, prompt="<|user|>\nHi</s>\n<|assistant|>", gap="\n", **_SLASH),
    "vicuna": Family("spm-legacy", VICUNA, prompt="USER: Hi ASSISTANT:", gap=" ", **_SLASH),
    "deepseek": Family("byte-bpe", DEEPSEEK,
        ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"), "<｜end▁of▁sentence｜>",
        ("<｜end▁of▁sentence｜>",), ("<｜end▁of▁sentence｜>",), "<｜end▁of▁sentence｜>",
        "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>", bos="<｜begin▁of▁sentence｜>"),
    "command-r": Family("byte-bpe", COMMAND_R, ("<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>",
        "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>"), "<|END_OF_TURN_TOKEN|>", ("<|END_OF_TURN_TOKEN|>",),
        ("<|END_OF_TURN_TOKEN|>",), "<|END_OF_TURN_TOKEN|>", "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi"
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", bos="<BOS_TOKEN>"),
    "tulu, olmo": Family("byte-bpe", TULU, ("<|endoftext|>",), "<|endoftext|>", ("<|endoftext|>",),
        ("<|endoftext|>",), "<|endoftext|>", "<|user|>\nHi\n<|assistant|>\n"),
    "granite": Family("byte-bpe", GRANITE, ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"),
        "<|end_of_text|>", ("<|end_of_text|>",), ("<|end_of_text|>",), "<|end_of_text|>",
        "<|start_of_role|>user<|end_of_role|>Hi<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"),
    "falcon": Family("byte-bpe", FALCON, ("<|endoftext|>",), "<|endoftext|>", ("<|endoftext|>",), ("<|endoftext|>",),
        "<|endoftext|>", "User: Hi\n\nFalcon:", gap=" "),
    "content in parts": Family("byte-bpe", PARTS, _IM, "<|im_end|>", ("<|im_end|>",), ("<|im_end|>",), "<|im_end|>",
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    "unigram, chatml": Family("unigram", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|im_end|>",
        ("<|im_end|>",), ("<|im_end|>",), "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
}  # fmt: skip

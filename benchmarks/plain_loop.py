"""What the toolkit is compared with: the same update as one writes it in a notebook.

Dense logits over the vocabulary, the prompt run again in every step, float32, the LM under autograd. Nothing here is
slow on purpose; it is what `from_pretrained` and a dozen lines give.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sea_toolkit.readers.probe import Probe


class PlainLoop:
    """Langevin on `z [C, T, V]` down `−log π − 8 r`.

    Args:
        model: a transformers causal LM in float32.
        prompt: token ids.
        start: the texts to start from, `[C, T]`.
        probe: the reward.
        frozen: leave the weights out of autograd; `from_pretrained` leaves them in.
    """

    def __init__(self, model: Any, prompt: list[int], start: Tensor, probe: Probe, *, frozen: bool) -> None:
        self.model, self.probe, self.frozen = model, probe.to(start.device), frozen
        self.prompt = torch.tensor([prompt] * len(start), device=start.device)
        with torch.no_grad():
            logits = model(torch.cat([self.prompt, start], 1)).logits[:, len(prompt) - 1 : -1]
            top = logits.amax(-1, keepdim=True)
            self.z = logits.scatter(-1, start[..., None], top + 1.0).requires_grad_()

    def step(self) -> None:
        self.model.requires_grad_(not self.frozen)
        soft = self.z.softmax(-1)
        hard = torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).float()
        response = hard + soft - soft.detach()
        embedding = self.model.get_input_embeddings()
        embeds = response @ embedding.weight
        logits = self.model(inputs_embeds=torch.cat([embedding(self.prompt), embeds], 1)).logits
        log_probs = logits[:, self.prompt.shape[1] - 1 : -1].log_softmax(-1)
        log_pi = (response * log_probs).sum((1, 2))
        hidden = self.model(inputs_embeds=embeds, output_hidden_states=True).hidden_states[self.probe.layer]
        reward = self.probe.head.of_means(hidden.mean(1))
        loss = (-log_pi - 8.0 * reward).sum()
        self.z.grad = None
        loss.backward()
        step_size, temperature = 0.1, 0.1
        with torch.no_grad():
            self.z -= step_size * self.z.grad
            self.z += (2 * step_size * temperature) ** 0.5 * torch.randn_like(self.z)

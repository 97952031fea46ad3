"""The policy's text side: prompts in, texts out and back."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import EOS, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, random_ids, tiny_policy


def test_chat_and_plain_prompts():
    tokenizer = tiny_tokenizer()
    chat, plain = Policy(tiny_model(), tokenizer), Policy(tiny_model(), tokenizer, template="plain")
    assert (chat.template, plain.template) == ("chat", "plain")
    assert chat.encode(["hello"], 5) == [tokenizer("user: hello<eos>assistant: ").input_ids]
    assert plain.encode(["hello"], 5) == [tokenizer("hello").input_ids]
    tokenizer.chat_template = None
    assert Policy(tiny_model(), tokenizer).template == "plain"
    with pytest.raises(ModelError, match="no chat template"):
        Policy(tiny_model(), tokenizer, template="chat")


@pytest.mark.parametrize("prompt", ["", "  ", "\n\t"])
def test_empty_prompts_are_refused(prompt):
    with pytest.raises(RecipeError, match="prompt 2 is empty"):
        tiny_policy().encode(["fine", prompt], 5)


def test_prompts_beyond_the_context_are_refused():
    prompt = "word " * 120
    tokens = len(tiny_policy().encode([prompt], 1)[0])
    limit = tiny_policy().context_length
    assert limit == 512
    tiny_policy().encode([prompt], limit - tokens)
    with pytest.raises(RecipeError, match=rf"prompt 1 has {tokens} tokens, and {limit - tokens + 1} more"):
        tiny_policy().encode([prompt], limit - tokens + 1)


def test_end_of_text_comes_from_tokenizer_and_generation_config():
    model = tiny_model()
    model.generation_config.eos_token_id = [7, EOS]
    assert Policy(model, tiny_tokenizer()).eos_ids == (EOS, 7)
    model.generation_config.eos_token_id = 9
    assert Policy(model, tiny_tokenizer()).eos_ids == (EOS, 9)
    bare = tiny_tokenizer()
    bare.eos_token = None
    model.generation_config.eos_token_id = None
    with pytest.raises(ModelError, match="no end-of-text token"):
        Policy(model, bare, template="plain")


def test_text_ends_at_the_end_and_has_no_special_tokens():
    policy = tiny_policy()
    word = policy.tokenizer("the rain").input_ids
    rows = torch.full((1, 3, len(word) + 3), EOS)
    rows[0, 0, : len(word)] = torch.tensor(word)
    rows[0, 1, : len(word)] = torch.tensor(word)
    rows[0, 1, len(word) + 1 :] = word[0]  # behind the end
    rows[0, 2, 1 : len(word) + 1] = torch.tensor(word)
    rows[0, 2, 0] = 0  # padding
    assert policy.text(rows) == [["the rain", "the rain", "the rain"]]


def test_texts_come_back_with_their_end():
    policy = tiny_policy()
    found = policy.from_text([["the rain", ""], ["a", "on"]], torch.tensor([[True, False], [False, True]]))
    assert policy.text(found.ids) == [["the rain", ""], ["a", "on"]]
    lengths = [[len(policy.tokenizer(t).input_ids) for t in row] for row in (["the rain", ""], ["a", "on"])]
    assert found.expected_length().tolist() == [[lengths[0][0] + 1, 0], [lengths[1][0], lengths[1][1] + 1]]
    assert found.content.sum(-1).tolist() == lengths


def test_a_text_that_spells_a_special_token_has_not_ended():
    policy = tiny_policy()
    ids = torch.tensor([[policy.tokenizer.convert_tokens_to_ids(list("<eos>go"))]])
    assert policy.text(ids) == [["<eos>go"]]
    assert torch.equal(policy.from_text([["<eos>go"]], torch.tensor([[False]])).ids, ids)


def test_prefix_rows_can_be_chosen():
    policy = tiny_policy()
    prefix = policy.prefix(policy.encode(PROMPTS, 4))
    ids = random_ids(3, 1, 4)
    chosen = prefix.select(torch.tensor([2, 0, 2]))
    found = policy.log_prob(chosen, ids[[2, 0, 2]])
    assert torch.allclose(found, policy.log_prob(prefix, ids)[[2, 0, 2]], atol=1e-5)


def test_weights_are_frozen():
    assert not any(p.requires_grad for p in tiny_policy().model.parameters())
    assert not tiny_policy().model.training


def test_models_without_input_embeddings_are_refused():
    policy = tiny_policy()

    class Recurrent(torch.nn.Module):
        def forward(self, input_ids):
            return input_ids

    from sea_toolkit.lm.backbone import Backbone

    with pytest.raises(ModelError, match="takes no input embeddings"):
        Backbone(Recurrent(), policy.backbone.embedding, "rnn")

"""Chat templates: what they may do, and what a person is told when they do something else."""

from __future__ import annotations

from datetime import date

import pytest

import sea_toolkit as sea
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.template import ChatTemplate
from sea_toolkit.testing.tiny import tiny_model
from sea_toolkit.util.conversation import Message, Prompt
from tests.conventions.families import CHATML, GEMMA, LLAMA_2, LLAMA_3, PARTS, THINKING
from tests.conventions.tokenizers import made

USER = Message("user", "Hi there")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>")


def chat(template, **settings):
    return ChatTemplate(made("byte-bpe", SPECIAL, eos="<|im_end|>", template=template), "the model", **settings)


def policy(chat_source, **settings):
    tokenizer = made("byte-bpe", SPECIAL, eos="<|im_end|>", template=chat_source)
    return Policy(tiny_model("llama", vocab=len(tokenizer)), tokenizer, name="the model", **settings)


SENTENCES = {
    "needs a system message": (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('A system message is required') }}{% endif %}"
        + CHATML,
        "A system message is required",
    ),
    "syntax": ("{% for m in messages %}{{ m['content'] }", "TemplateSyntaxError"),
    "any error": ("{{ messages[0]['content'] / 2 }}", "TypeError"),
    "unknown filter": ("{{ messages | shuffle }}", "shuffle"),
    "nothing": ("{% if false %}{{ messages }}{% endif %}  ", "renders nothing"),
    "a lost prompt": ("{% for m in messages %}user: {% endfor %}assistant:", "leaves out the user turn 'Hi there'"),
}  # fmt: skip


@pytest.mark.parametrize("case", SENTENCES)
def test_whatever_a_template_raises_is_told_with_a_way_out(case):
    template, sentence = SENTENCES[case]
    with pytest.raises(ModelError, match="the chat template of the model") as caught:
        policy(template).encode(["Hi there"], 4)
    assert sentence in str(caught.value)
    assert 'template = "plain"' in str(caught.value)


def test_roles_that_do_not_fit_are_told():
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    with pytest.raises(ModelError, match="Conversation roles must alternate"):
        policy(GEMMA).encode([turns], 4)
    with pytest.raises(ModelError, match="System role not supported"):
        policy(GEMMA, system="Be brief.").encode(["Hi"], 4)


def test_a_system_message_that_the_template_drops_is_an_error():
    with pytest.raises(ModelError, match=r"leaves out the system turn 'Be brief\.'"):
        policy(LLAMA_2, system="Be brief.").encode(["Hi"], 4)


def test_a_system_message_comes_first_unless_the_prompt_brings_one():
    made_policy = policy(CHATML, system="Be brief.")
    assert made_policy.chat.render([USER]).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user")
    own = [{"role": "system", "content": "Be long."}, {"role": "user", "content": "Hi"}]
    rendered = made_policy.chat.render(Prompt.of(own).messages)
    assert "Be long." in rendered
    assert "Be brief." not in rendered
    needs = SENTENCES["needs a system message"][0]
    assert policy(needs, system="Be brief.").encode(["Hi there"], 4)


def test_options_reach_the_template():
    assert chat(THINKING).render([USER], add_generation_prompt=True).endswith("assistant\n")
    off = chat(THINKING, options={"enable_thinking": False}).render([USER], add_generation_prompt=True)
    assert off.endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize("key", ["enable_thinkng", "messages", "add_generation_prompt"])
def test_options_that_are_none_are_refused(key):
    with pytest.raises(RecipeError, match=key):
        chat(THINKING, options={key: False})


def test_named_templates_and_files(tmp_path):
    several = {"rag": CHATML, "tools": GEMMA}
    with pytest.raises(ModelError, match=r"\['rag', 'tools'\], and none is the default"):
        chat(several)
    assert chat(several, name="rag").written == CHATML
    assert chat({"default": CHATML, "x": GEMMA}).written == CHATML
    (tmp_path / "own.jinja").write_text("{% for m in messages %}<{{ m['content'] }}>{% endfor %}")
    assert chat(CHATML, name=str(tmp_path / "own.jinja")).render([USER]) == "<Hi there>"
    assert policy(None, chat_template=str(tmp_path / "own.jinja")).template == "chat"
    with pytest.raises(RecipeError, match="no chat template 'rga'"):
        chat(several, name="rga")


def test_settings_of_a_template_need_one():
    for settings in ({"system": "x"}, {"template_options": {"a": 1}}, {"chat_template": "x"}):
        with pytest.raises(RecipeError, match="are plain"):
            policy(CHATML, template="plain", **settings)


def test_a_policy_of_ones_own_has_its_template_already():
    with pytest.raises(RecipeError, match=r"policy\.system is set"):
        sea.align("Hi", policy=policy(CHATML), reward="sentiment", system="Be brief.")


def test_content_in_parts_is_found_out():
    assert chat(PARTS).render([USER]) == chat(CHATML).render([USER])
    assert chat(CHATML).render([USER], add_generation_prompt=True).count("Hi there") == 1


def test_the_date_stands_still():
    dated = "{{ 'Today is ' + strftime_now('%d %b %Y') + '. ' }}" + CHATML
    template = chat(dated, date=date(2024, 2, 29))
    assert template.reads_date
    assert template.render([USER]).startswith("Today is 29 Feb 2024. ")
    assert not chat(CHATML).reads_date
    guarded = '{% if strftime_now is defined %}{% set day = strftime_now( "%Y-%m-%d" ) %}{% endif %}{{ day }} ' + CHATML
    assert chat(guarded, date=date(2024, 2, 29)).render([USER]).startswith("2024-02-29 ")


def test_what_stands_around_an_answer():
    frame = chat(CHATML).around([USER])
    assert frame.before == "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n"
    assert (frame.after, frame.trims) == ("<|im_end|>\n", False)
    assert chat(LLAMA_3).around([USER]).trims
    for template, count in (
        ("{{ messages[0]['content'] }}", 0),
        ("{% for m in messages * 2 %}{{ m['content'] }}{% endfor %}", 2),
    ):
        with pytest.raises(ModelError, match=f"{count} times"):
            chat(template).around([USER])


def test_a_template_that_loops_is_ended(monkeypatch):
    monkeypatch.setattr("sea_toolkit.lm.template.SECONDS", 0.3)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(ModelError, match=r"takes more than 0\.3 seconds to render the turns user"):
        chat(loop).render([USER])

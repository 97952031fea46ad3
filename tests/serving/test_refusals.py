"""What cannot be honoured is refused in OpenAI's form, by the name of its key, and nothing of the machine is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import KEY, USER, Running

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt option": ({"sea": {"rewrd": 1}}, "sea.rewrd"),
    "a field that is not known": ({"tools": []}, "tools"),
    "part of the distribution": ({"top_p": 0.5}, "top_p"),
    "a penalty": ({"frequency_penalty": 0.5}, "frequency_penalty"),
    "alternatives of a token": ({"logprobs": True, "top_logprobs": 3}, "top_logprobs"),
    "too hot": ({"temperature": 3}, "temperature"),
    "a temperature of no samples": ({"model": "tiny+drafted", "temperature": 0.5}, "temperature"),
    "too many answers": ({"n": 9}, "n"),
    "too long": ({"max_tokens": 513}, "max_tokens"),
    "two lengths": ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    "too dear": ({"sea": {"budget": 65}}, "sea.budget"),
    "budget and steps": ({"sea": {"budget": 6, "steps": 6}}, "sea.steps"),
    "too many chains": ({"sea": {"chains": 17}}, "sea.chains"),
    "too many seconds": ({"sea": {"max_seconds": 31}}, "sea.max_seconds"),
    "another recipe than the model's": ({"model": "tiny+short", "sea": {"recipe": "wide"}}, "sea.recipe"),
    "a recipe in a file": ({"sea": {"recipe": "/tmp/evil.toml"}}, "sea.recipe"),
    "a reward in a file": ({"sea": {"reward": "/etc/passwd"}}, "sea.reward"),
    "an energy that runs code": (
        {"sea": {"energies": {"verifier": {"function": "os:system"}}}}, "sea.energies.verifier",
    ),
    "an energy behind another label": ({"sea": {"energies": {"x": {"name": "perplexity"}}}}, "sea.energies.x"),
    "an expression without a time limit": (
        {"sea": {"energies": {"keywords": {"from_prompt": "(a+)+$"}}}}, "sea.energies.keywords.from_prompt",
    ),
    "a compass in a file": (
        {"sea": {"energies": {"length": {"target": 3, "compass": "/x"}}}}, "sea.energies.length.compass",
    ),
    "a weight of a schedule": (
        {"sea": {"energies": {"length": {"target": 3, "weight": {"schedule": "linear"}}}}},
        "sea.energies.length.weight",
    ),
    "a limit on a reward that is not there": (
        {"sea": {"constraints": [{"name": "reward", "model": "owner/model", "max": 1}]}}, "sea.constraints.0",
    ),
    "a sampler that is not there": ({"sea": {"sampler": "gibbs"}}, "sea.sampler"),
    "a length in the sampler's table": ({"sea": {"sampler": {"name": "smc", "budget": 1e6}}}, "sea.sampler.budget"),
    "a wrong option of a sampler": ({"sea": {"sampler": {"name": "smc", "wings": 2}}}, "sea"),
    "a sampler that is too wide": ({"sea": {"sampler": {"name": "smc", "particles": 65}}}, "sea.sampler.particles"),
    "a schedule": (
        {"sea": {"sampler": {"name": "tilted", "strength": {"schedule": "linear"}}}}, "sea.sampler.strength",
    ),
    "thousands of words": ({"sea": {"energies": {"keywords": {"words": ["word"] * 2000}}}}, "sea"),
    "a list for a sampler's name": ({"sea": {"sampler": {"name": ["smc"]}}}, "sea.sampler"),
    "a list for an energy's name": ({"sea": {"energies": {"x": {"name": []}}}}, "sea.energies.x"),
    "a table for a reward": ({"sea": {"constraints": [{"name": "reward", "model": {}}]}}, "sea.constraints.0"),
    "a number for a limit's name": ({"sea": {"constraints": [{"name": 7}]}}, "sea.constraints.0"),
    "a tool's turn": ({"messages": [{"role": "tool", "content": "a"}]}, "messages"),
    "an answer at the end": ({"messages": [*USER, {"role": "assistant", "content": "a"}]}, "messages"),
    "an empty prompt": ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "half a character": ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages"),
    "more tokens than positions": ({"messages": [{"role": "user", "content": "the rain " * 200}]}, "messages"),
    "options of a stream without a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "a number for a text": ({"stop": [1]}, "stop"),
    "a truth for a number": ({"n": True}, "n"),
}  # fmt: skip


def post(running: Running, body: Any, path: str = "/v1/chat/completions", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    usual = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return running.http.post(path, content=content, headers=usual | headers)


def error_of(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert not any(words in error["message"] for words in ("Traceback", "/work", ".py", "--"))
    return dict(error)


def test_what_cannot_be_honoured_is_a_400_that_names_it(running: Running) -> None:
    for what, (more, param) in REFUSED.items():
        response = post(running, {"model": "tiny", "messages": USER, **more})
        assert (what, response.status_code) == (what, 400), response.text
        error = error_of(response)
        assert (what, error["param"], error["type"]) == (what, param, "invalid_request_error")
    assert post(running, {"model": "tiny", "messages": USER}).status_code == 200


def test_a_prompt_beyond_the_context_has_openais_code(running: Running) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "the rain " * 200}]}
    assert error_of(post(running, body))["code"] == "context_length_exceeded"
    error = error_of(post(running, {"model": "tiny", "prompt": "the rain " * 200}, "/v1/completions"))
    assert (error["param"], error["code"]) == ("prompt", "context_length_exceeded")


def test_an_error_of_a_stream_that_has_begun_reaches_the_client(running: Running) -> None:
    import openai

    long = [{"role": "user", "content": "the rain " * 200}]
    with pytest.raises(openai.APIError, match="expected: at most"):
        list(running.client.chat.completions.create(model="tiny", messages=long, stream=True))


def test_values_that_change_nothing_are_taken(running: Running) -> None:
    neutral = {"top_p": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "n": 1, "seed": None,
               "response_format": {"type": "text"}, "stream": None, "stop": None}  # fmt: skip
    assert post(running, {"model": "tiny", "messages": USER, **neutral}).status_code == 200


def test_an_unknown_model_is_a_404_as_openais(running: Running) -> None:
    import openai

    with pytest.raises(openai.NotFoundError) as caught:
        running.client.chat.completions.create(model="gpt-5", messages=USER)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    assert error_of(post(running, {}, "/v1/models"))["message"]  # POST where only GET is
    assert post(running, {}, "/v2/nothing").status_code == 404


@pytest.mark.parametrize("body", [b"{nope", b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"model": NaN}', b"null"])
def test_a_body_that_is_no_request_is_a_400(running: Running, body: bytes) -> None:
    response = post(running, body)
    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request_error"


def test_a_body_that_is_too_long_is_refused_unread(running: Running) -> None:
    assert post(running, b" " * (2**20 + 1)).status_code == 413
    chunks = (b" " * 2**16 for _ in range(20))
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    assert running.http.post("/v1/completions", content=chunks, headers=headers).status_code == 413


def test_a_missing_or_wrong_key_is_a_401_everywhere_but_at_health(running: Running) -> None:
    import openai

    wrong = running.client.with_options(api_key=f"{KEY}x")
    with pytest.raises(openai.AuthenticationError):
        wrong.chat.completions.create(model="tiny", messages=USER)
    for path, status in (("/v1/models", 401), ("/metrics", 401), ("/health", 200)):
        assert running.http.get(path).status_code == status
    assert error_of(post(running, {}, authorization="Basic eA=="))["code"] == "invalid_api_key"


def test_metrics_have_no_label_that_a_client_made_up(running: Running) -> None:
    post(running, {}, "/v1/invented-by-a-client")
    text = running.http.get("/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    assert 'sea_requests_total{route="other",status="404"}' in text
    assert "invented-by-a-client" not in text
    for name in ("sea_queue_depth", "sea_batch_prompts_bucket", "sea_step_seconds_sum", "sea_samples_total"):
        assert name in text

"""Rewards of servers: each kind's requests and answers, each fault, and who may send prompts where."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.energies.remote_reward import client as http
from sea_toolkit.energies.remote_reward.energy import RemoteReward
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.registry.allowed import Allowed, server_of
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.testing.tiny import tiny_tokenizer
from sea_toolkit.util.conversation import Prompt
from tests.cli.commands import invoke
from tests.energies.reward_server import serving
from tests.helpers import hub, random_ids, tiny_policy

KINDS = ("sglang", "vllm-classify", "vllm-pooling", "vllm-score", "openrlhf")
PROMPTS, TEXTS = ["Tell me.", "Tell me.", "Why?"], ["eee", "no", "e"]
PLAIN = ["Tell me. eee", "Tell me. no", "Why? e"]
RUN = {"sampler": {"name": "best-of-n", "chains": 2, "steps": 2}, "max_new_tokens": 6}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(http, "FIRST_WAIT", 0.001)


def server_reward(url, **options):
    return RemoteReward(url=url, **options).connected(ModelFinder(hub()))


def align(**more):
    return sea.align("Tell me about owls.", policy=tiny_policy(), hub=hub(), **{"recipe": RUN, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_each_kind_is_recognized_and_scores_texts(kind):
    with serving(kind) as server:
        options = {"api": kind} if kind == "vllm-score" else {}
        reward = server_reward(server.url, **options)
        assert reward.api.name == kind
        found = reward.scores(PROMPTS, TEXTS)
        shown = 0 if kind == "vllm-score" else 2  # letters e in the prompt
        assert found.tolist() == [3.0 + shown, shown, 1.0]
        path, data, _ = server.asked[-1]
        expected = {
            "sglang": {"model": "my-model", "text": PLAIN},
            "vllm-score": {
                "model": "my-model",
                "use_activation": False,
                "text_1": PROMPTS,
                "text_2": TEXTS,
            },
            "openrlhf": {
                "query": ["Tell me. eee", "Tell me. no", "Why? e"],
                "prompts": PROMPTS,
                "labels": ["", "", ""],
            },
        }
        if kind in expected:
            assert (path, data) == (reward.api.path, expected[kind])
        else:  # a conversation for each text, in any order
            asked = [d["messages"] for p, d, _ in server.asked[-3:] if p == reward.api.path]
            assert [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "e"}] in asked


def test_texts_may_be_sent_as_tokens_of_the_models_own_template(tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with serving("sglang") as server:
        reward = server_reward(server.url, tokenizer=str(tmp_path))
        reward.scores(
            [Prompt.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a dog"}])], ["b"]
        )
        turns = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "a dog"},
            {"role": "assistant", "content": "b"},
        ]
        text = tiny_tokenizer().apply_chat_template(turns, tokenize=False)
        assert server.asked[-1][1]["input_ids"] == [tiny_tokenizer()(text, add_special_tokens=False).input_ids]
        assert not reward.warnings
    with serving("sglang") as server:
        assert "is sent plain text; tokenizer = …" in server_reward(server.url).warnings[0]


def test_an_output_is_chosen_by_its_index_and_null_is_not_a_number():
    with serving("vllm-classify") as server:
        server.change = lambda answer: {"data": [{**e, "probs": [7.0, e["probs"][0]]} for e in answer["data"]]}
        with pytest.raises(RecipeError, match=r"gives 2 outputs[\s\S]*output = a number from 0 to 1"):
            server_reward(server.url)
        with pytest.raises(RecipeError, match="has no output 2"):
            server_reward(server.url, output=2)
        assert server_reward(server.url, output=1, reads="response").scores(PROMPTS, TEXTS).tolist() == [3.0, 0.0, 1.0]
        server.change = lambda answer: {"data": [{**e, "probs": [None]} for e in answer["data"]]}
        assert server_reward(server.url).scores(PROMPTS, TEXTS).isnan().all()


def test_what_a_server_says_of_single_words_is_a_gradient():
    with serving("sglang") as server:
        term = {"name": "remote-reward", "url": server.url, "gradient": "words", "reads": "response", "batch": 64}
        recipe = Recipe.parse({**RUN, "energies": [{"name": "reference"}, term]})
        composition = compose(recipe, hub(), allowed=Allowed(network=[server.url]))
        problem = Session(hub(), policy=tiny_policy()).bind(composition, ["Tell me."])
        (reward,) = problem.rewards
        ids = random_ids(1, 3, 6, low=10)
        scored = problem.score_as_text(ids, gradients=True)
        texts = [text for row in scored.texts for text in row]
        assert scored.energies.terms[reward.label].flatten().tolist() == [-float(text.count("e")) for text in texts]
        words = [tiny_policy().decode([token]).strip() for token in range(128)]
        known = torch.tensor([bool(word) and "\ufffd" not in word for word in words])
        letters = torch.tensor([float(word.count("e")) for word in words])
        expected = torch.where(known, letters - letters[known].mean(), 0.0) / scored.length[..., None]
        slope = -scored.token_gradients[0].over_vocabulary(0, 128)
        torch.testing.assert_close(slope[..., known], expected[..., known], rtol=1e-4, atol=1e-5)
        asked = server.texts
        assert problem.score_as_text(ids).energies.terms[reward.label].shape == (1, 3)
        assert server.texts == asked  # each text once
        result = align(reward={server.url: {"gradient": "words", "reads": "response"}}, recipe={"max_new_tokens": 6})
        assert result.sampler == "smc"
        assert any("its gradient is what it says of single words" in note for note in result.notes)


def test_requests_are_batched_and_run_at_the_same_time_up_to_a_limit():
    with serving("sglang") as server:
        reward = server_reward(server.url, batch=2, max_concurrency=3)
        server.asked.clear()
        together = threading.Event()

        def at_work():
            if server.most >= 3:
                together.set()
            assert together.wait(30)
            time.sleep(0.02)  # a fourth one would come now

        server.at_work = at_work
        texts = ["e" * i for i in range(15)]
        assert reward.scores(["x"] * 15, texts).tolist() == list(map(float, range(15)))
        assert sorted(len(data["text"]) for _, data, _ in server.asked) == [1, *[2] * 7]
        assert server.most == 3


def test_an_empty_answer_that_is_read_alone_is_not_sent():
    with serving("sglang") as server:
        reward = server_reward(server.url, reads="response")
        found = reward.scores(PROMPTS, ["e", "", "ee"])
        assert found[1].isnan()
        assert found[[0, 2]].tolist() == [1.0, 2.0]
        assert server.asked[-1][1]["text"] == ["e", "ee"]


ANSWERS = {
    "HTML": (lambda h: h.send(200, "<!DOCTYPE html><p>Log in", "text/html"), r"text/html that is no JSON: '<!DOCTYPE"),
    "no JSON": (lambda h: h.send(200, "{"), r"that is no JSON: '\{'"),
    "other JSON": (
        lambda h: h.send(200, {"result": 1}),
        r"JSON that has an entry without `embedding`; its keys are result",
    ),
    "a text": (lambda h: h.send(200, [{"embedding": "high"}]), r"`embedding` = high, which is no number"),
    "fewer": (lambda h: h.send(200, [{"embedding": [1.0]}]), r"with 1 score for 3 texts"),
    "401": (lambda h: h.send(401, {"error": {"message": "no key"}}), r"status 401: no key"),
    "422": (lambda h: h.send(422, {"detail": [{"msg": "Field required"}]}), r"status 422.*Field required"),
    "redirect": (lambda h: h.send(302, "", location="http://elsewhere"), r"status 302"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_none_is_told_at_once(name):
    answer, message = ANSWERS[name]
    with serving("sglang") as server:
        reward = server_reward(server.url)
        server.asked.clear()
        server.fault = lambda handler, count: answer(handler)
        with pytest.raises(ModelError, match=f"(?s)the reward server {server.url} answered.*{message}"):
            reward.scores(PROMPTS, TEXTS)
        assert len(server.asked) == 1


def test_what_may_pass_is_tried_again_and_waits_longer_each_time():
    with serving("sglang") as server:
        waits = []
        reward = server_reward(server.url)
        reward.client._sleep = lambda seconds: bool(waits.append(seconds))
        faults = {
            1: lambda h: h.send(503, {"detail": "busy"}),
            2: lambda h: h.send(429, {}, retry_after="7"),
            3: lambda h: h.drop(),
        }
        before = server.count
        server.fault = lambda handler, count: faults.get(count - before, lambda h: False)(handler)
        assert reward.scores(PROMPTS, TEXTS).tolist() == [5.0, 2.0, 1.0]
        first, second, third = waits
        assert http.FIRST_WAIT / 2 <= first <= http.FIRST_WAIT
        assert second == 7.0
        assert 2 * http.FIRST_WAIT <= third <= 4 * http.FIRST_WAIT


def test_a_server_that_stays_broken_or_silent_is_given_up():
    with serving("sglang") as server:
        reward = server_reward(server.url, retries=2)
        server.asked.clear()
        server.fault = lambda handler, count: handler.send(500, {"detail": "CUDA out of memory"})
        with pytest.raises(ModelError, match=r"status 500: CUDA out of memory \(3 attempts\)"):
            reward.scores(PROMPTS, TEXTS)
        assert len(server.asked) == 3
        reward, over = RemoteReward(url=server.url, timeout=0.1, retries=0, api="sglang"), threading.Event()
        server.fault = lambda handler, count: over.wait(30) and handler.drop()
        with pytest.raises(ModelError, match=r"did not answer within 0.1 s"):
            reward.connected(ModelFinder(hub()))
        over.set()


def test_ctrl_c_does_not_wait_for_a_server_that_is_silent():
    with serving("sglang") as server:
        reward, over = server_reward(server.url), threading.Event()

        def at_work():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            over.wait(30)

        server.at_work = at_work
        with pytest.raises(KeyboardInterrupt):
            reward.scores(PROMPTS, TEXTS)
        assert server.busy == 1  # still silent
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "sea-remote-reward")
        over.set()


def test_an_answer_that_drips_is_cut_at_the_timeout():
    over, ended = threading.Event(), threading.Event()

    def drip(handler, count):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(250):  # five seconds
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                break
            if over.wait(0.02):
                break
        else:
            ended.set()
        return True

    with serving("sglang") as server:
        reward = server_reward(server.url, retries=0)
        reward.client.timeout = 0.15
        server.fault = drip
        with pytest.raises(ModelError, match="did not answer within"):
            reward.scores(PROMPTS, TEXTS)
        assert not ended.is_set()
        over.set()


def test_a_server_that_is_not_there_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("sea_toolkit.runs.session.load_policy", lambda spec, finder, check: check(tiny_tokenizer()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ModelError, match=f"the reward server {url} cannot be reached"):
            sea.align("a", reward=url, hub=hub(), recipe=RUN)


def test_a_server_of_no_known_kind_is_told():
    with serving("openrlhf") as server:
        server.kind = "other"
        with pytest.raises(ModelError, match=r"answered /get_reward with status 404: Not Found"):
            server_reward(server.url)
    with serving("vllm-classify") as server:
        server.kind = "vllm-embed"
        with pytest.raises(ModelError, match=r"has none of /classify, /pooling[\s\S]*api = "):
            server_reward(server.url)


def test_a_model_of_vllm_that_does_not_classify_is_asked_for_its_pooling():
    with serving("vllm-pooling") as server:
        refusal = {"error": {"message": "The model does not support Classification API"}}
        server.fault = lambda handler, count: handler.path == "/classify" and handler.send(400, refusal)
        assert server_reward(server.url).api.name == "vllm-pooling"


def test_a_recipe_cannot_send_anything_to_a_server_by_itself(tmp_path):
    with serving("sglang") as server:
        recipe = {**RUN, "energies": [{"name": "reference"}, {"name": "remote-reward", "url": server.url}]}
        with pytest.raises(RecipeError, match=f"would send prompts and answers to {server_of(server.url)}, which"):
            align(recipe=recipe)
        with pytest.raises(RecipeError, match="is not allowed"):
            align(recipe=recipe, allow_network=["127.0.0.1:1"])
        recipe["energies"][1] = {"name": "reward", "model": server.url}
        with pytest.raises(RecipeError, match="--allow-network"):
            align(recipe=recipe)
        assert not server.asked
        result = align(recipe=recipe, allow_network=[server_of(server.url)])
        assert list(result.rewards) == [server_of(server.url)]
        first, second = align(reward={server.url: 8.0}).rewards, align(reward={"mine": (8.0, server.url)}).rewards
        assert list(first.values()) == list(second.values())


def test_each_text_is_asked_about_once_and_with_its_label():
    with serving("openrlhf") as server:
        row = {"prompt": "Tell me about owls.", "label": "birds", "id": 3}
        sea.align(row, reward=server.url, policy=tiny_policy(), hub=hub(), recipe=RUN)
        assert set(server.asked[-1][1]["labels"]) == {"birds"}
        own = [text for _, data, _ in server.asked if data for text in data["query"] if "owls" in text]
        assert len(own) == len(set(own)) > 0


def test_the_command_line_allows_what_it_names_and_resumes_a_run_whose_server_died(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sea_toolkit.runs.session.load_policy", lambda *given: given[2](tiny_tokenizer()) or tiny_policy()
    )
    words = ["align", "Tell me about owls.", "--max-new-tokens", "6", "--steps", "6", "--chains", "2", "--json"]
    with serving("sglang") as server:
        words += ["--sampler", "suffix-mh", "--reward", f"{server.url}=8,retries=1"]
        whole = invoke(*words)
        assert whole.exit_code == 0, whole.output
        last = 2 * server.count - 1
        server.fault = lambda handler, count: count >= last and handler.drop()
        folder = str(tmp_path / "run")
        died = invoke(*words, "--out", folder, "--checkpoint-every", "1")
        assert died.exit_code == 1
        assert "broke off the connection" in died.stderr
        assert f"--allow-network {server_of(server.url)}" in died.stderr
        assert json.loads(died.stdout.splitlines()[0])["status"] == "failed"
        server.fault = lambda handler, count: False
        refused = invoke("resume", folder)
        assert refused.exit_code == 2
        assert "--allow-network" in refused.stderr
        again = invoke("resume", folder, "--json", "--allow-network", server_of(server.url))
        assert again.exit_code == 0, again.output
        one, two = json.loads(whole.stdout.splitlines()[0]), json.loads(again.stdout.splitlines()[0])
        assert (one["response"], one["rewards"]) == (two["response"], two["rewards"])


def test_a_run_goes_on_with_the_same_model_alone(tmp_path):
    with serving("sglang") as server:
        align(reward=server.url, out=tmp_path / "run")
        answer = server.answer
        server.answer = lambda path, data: (
            {"data": [{"id": "another", "owned_by": "sglang"}]} if path == "/v1/models" else answer(path, data)
        )
        with pytest.raises(sea.SeaError, match="was made with other versions"):
            sea.resume(tmp_path / "run", steps=4, policy=tiny_policy(), hub=hub(), allow_network=[server.url])


def test_a_secret_comes_from_the_environment_and_goes_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_REWARD_KEY", "s3cret-token")
    headers = {"Authorization": "Bearer $SEA_REWARD_KEY", "X-Team": "${SEA_REWARD_KEY}"}
    with serving("sglang") as server:
        terms = [{"name": "reference"}, {"name": "remote-reward", "url": server.url, "headers": headers}]
        align(recipe={**RUN, "energies": terms}, allow_network=[server.url], out=tmp_path / "run")
        assert {h["Authorization"] for _, _, h in server.asked} == {"Bearer s3cret-token"}
        written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
        assert b"$SEA_REWARD_KEY" in written
        assert b"s3cret" not in written
        server.fault = lambda handler, count: handler.send(
            403, {"detail": f"{handler.headers['Authorization']} is unknown"}
        )
        with pytest.raises(ModelError, match="status 403") as told:
            server_reward(server.url, headers=headers)
        assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"headers": {"Authorization": "Bearer abc"}}, "names no environment variable[\\s\\S]*SEA_REWARD_"),
        ({"headers": {"X": "$AWS_SECRET_ACCESS_KEY"}}, "names AWS_SECRET_ACCESS_KEY[\\s\\S]*begins with SEA_REWARD_"),
        ({"headers": {"X": "$SEA_REWARD_NONE"}}, "SEA_REWARD_NONE, which is not set"),
        ({"url": "http://me:word@host:1"}, "is not a plain one[\\s\\S]*a key goes into a header"),
        ({"url": "http://host:1/?key=1"}, "is not a plain one"),
        ({"url": "ftp://host"}, "is the address of no server"),
        ({"url": "http://host:port"}, "is the address of no server"),
        ({"api": "sglang", "reads": "chat"}, "sglang has no chat template"),
        ({"api": "vllm-score", "reads": "response"}, "reads prompt and answer apart"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with serving("sglang") as server, pytest.raises(RecipeError, match=message):
        server_reward(**{"url": server.url, **options})


def test_the_whole_address_of_an_endpoint_may_be_given():
    with serving("openrlhf") as server:
        assert server_reward(f"{server.url}/get_reward").scores(PROMPTS, TEXTS).tolist() == [5.0, 2.0, 1.0]
    with serving("sglang") as server:
        assert server_reward(f"{server.url}/classify").api.name == "sglang"


def test_the_user_allows_a_server_whatever_the_path_is():
    Allowed(network=["localhost:8000"]).refuse_others((), ["http://localhost:8000/rm"], "x")
    Allowed(network=["https://rm.example"]).refuse_others((), ["https://rm.example/v2"], "x")
    Allowed(network=["http://[::1]:8"]).refuse_others((), ["http://[::1]:8"], "x")
    with pytest.raises(RecipeError, match="localhost:8001"):
        Allowed(network=["localhost:8000"]).refuse_others((), ["http://localhost:8001"], "x")

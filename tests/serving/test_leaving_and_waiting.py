"""Clients that leave end their runs, a queue that is full says so, and a server that ends loses nobody's answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sea_toolkit.serving.limits import Limits
from tests.serving.conftest import KEY, USER, Running, block, send, start


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_run_within_a_step(running: Running, stream: bool) -> None:
    cancelled, steps = running.count("sea_cancelled_total"), running.count("sea_steps_total")
    line = send(running, stream=stream)
    assert running.until(lambda: running.count("sea_steps_total") > steps + 2)
    line.close()
    assert running.until(lambda: running.count("sea_cancelled_total") == cancelled + 1)
    after = running.count("sea_steps_total")
    assert running.client.chat.completions.create(model="tiny", messages=USER).choices  # the thread is free again
    assert running.count("sea_steps_total") <= after + 20


def test_a_client_that_leaves_ends_the_drawing_of_first_answers_too(running: Running) -> None:
    cancelled, batches = running.count("sea_cancelled_total"), running.count("sea_batch_prompts_count")
    line = send(running, model="tiny+wide")
    assert running.until(lambda: running.count("sea_batch_prompts_count") > batches)
    line.close()
    assert running.until(lambda: running.count("sea_cancelled_total") == cancelled + 1)


def test_those_who_stay_get_their_answers_when_one_of_a_run_leaves(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sea_toolkit.serving.worker import Worker
    from tests.serving.test_answers_over_http import ours

    options = {"sea": {"recipe": "short", "steps": 20}}
    cancelled = running.count("sea_cancelled_total")
    blocker = block(running)
    usual = Worker._run

    def run(self: Any, jobs: Any, prompt_tokens: Any) -> None:
        leaving.close()  # of the run, and not of the queue
        assert running.until(lambda: any(job.left.is_set() for job in jobs))
        usual(self, jobs, prompt_tokens)

    with ThreadPoolExecutor(1) as pool:
        staying = pool.submit(
            lambda: running.client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "a"}], extra_body=options
            )
        )
        leaving = send(running, model="tiny", **options)
        assert running.until(lambda: len(running.server.worker.waiting) == 2)
        monkeypatch.setattr(Worker, "_run", run)
        blocker.close()
        assert ours(staying.result())["together"] == 2
    assert running.until(lambda: running.count("sea_cancelled_total") == cancelled + 2)


def test_a_queue_that_is_full_says_when_to_come_back(running: Running) -> None:
    import openai

    cancelled = running.count("sea_cancelled_total")
    lines = [block(running)]
    for i in range(3):
        lines.append(send(running, sea={"isolated": True}))
        assert running.until(lambda i=i: len(running.server.worker.waiting) == i + 1)
    with pytest.raises(openai.RateLimitError) as caught:
        running.client.chat.completions.create(model="tiny", messages=USER)
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.code == "queue_full"
    for line in lines:
        line.close()
    assert running.until(lambda: running.count("sea_cancelled_total") == cancelled + 4)


def test_a_prompt_that_fails_does_not_take_its_company_with_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sea_toolkit.serving.engine import Engine

    usual = Engine.run

    def run(self: Any, orders: Any, on_event: Any, should_stop: Any, prompts: Any, counts: Any) -> Any:
        if "poison" in prompts:
            raise RuntimeError("a secret of the server")
        return usual(self, orders, on_event, should_stop, prompts, counts)

    monkeypatch.setattr(Engine, "run", run)

    def ask(word: str) -> Any:
        import openai

        try:
            return running.client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": word}])
        except openai.APIStatusError as error:
            return error

    blocker = block(running)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(ask, word) for word in ("poison", "a")]
        assert running.until(lambda: len(running.server.worker.waiting) == 2)
        blocker.close()
        failed, good = (future.result() for future in both)
    assert good.choices[0].message.content
    assert failed.status_code == 500
    assert "secret" not in failed.message


def test_a_server_that_ends_stops_its_runs_and_hands_out_the_best_so_far() -> None:
    pytest.importorskip("openai", reason="the openai client is not installed")
    import openai

    server, url, thread = start(Limits(seconds=60.0, drain=0.5))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=60)
    running = Running(url, server, client, None)
    assert running.until(lambda: server.started and server.worker.ready.is_set())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: running.client.chat.completions.create(model="tiny+endless", messages=USER))
        assert running.until(lambda: running.count("sea_steps_total") > 2)
        server.handle_exit(15, None)
        with pytest.raises(openai.APIError):  # refused: by the queue, or by the port that is closed
            running.client.chat.completions.create(model="tiny", messages=USER)
        found = answer.result()
    assert found.model_extra["sea"]["status"] == "stopped"
    assert found.choices[0].finish_reason == "length"
    thread.join(20)
    assert not thread.is_alive()

"""A server of rewards in this process, of each kind and with each fault; a text's reward is its number of letters e."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def reward(text: Any) -> float:
    return float(text.count("e")) if isinstance(text, str) else float(len(text))


class RewardServer(ThreadingHTTPServer):
    """A fake of one kind.

    Attributes:
        kind: "sglang", "vllm-classify", "vllm-pooling", "vllm-score" or "openrlhf".
        asked: path, JSON and headers of each request, in their order.
        fault: called with the handler and how many scoring requests there have been; true if it has answered.
        most: scoring requests that were in work at one time.
        change: of the JSON that is answered.
        at_work: called for each scoring request before it is answered; what it waits for, the client waits for.
    """

    daemon_threads = True

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind, self.asked = kind, list[tuple[str, Any, dict[str, str]]]()
        self.fault: Callable[[Any, int], bool] = lambda handler, count: False
        self.change: Callable[[Any], Any] = lambda answer: answer
        self.at_work: Callable[[], Any] = lambda: None
        self.lock, self.busy, self.most, self.count = threading.Lock(), 0, 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def texts(self) -> int:
        """Texts that were scored."""
        keys = ("text", "input", "input_ids", "query", "text_2")
        rows = [data.get(key) for _, data, _ in self.asked if data for key in keys if key in data]
        return sum(len(row) for row in rows) + sum("messages" in (data or {}) for _, data, _ in self.asked)

    def answer(self, path: str, data: Any) -> Any:
        """JSON, or None where a server of this kind has no such path."""
        if path == "/v1/models" and self.kind != "openrlhf":
            return {"data": [{"id": "my-model", "owned_by": self.kind.partition("-")[0]}]}
        if data is None or path != {"sglang": "/classify", "openrlhf": "/get_reward"}.get(
            self.kind, "/" + self.kind.partition("-")[2]
        ):
            return None
        if self.kind == "sglang":
            rows = data.get("text") or data["input_ids"]
            return [{"embedding": [reward(row)], "meta_info": {}} for row in rows]
        if self.kind == "openrlhf":
            return {"rewards": [reward(q) for q in data["query"]], "scores": [0.0 for _ in data["query"]]}
        if self.kind == "vllm-score":
            return self._listed([{"score": reward(text)} for text in data["text_2"]])
        texts = data["input"] if "input" in data else ["".join(turn["content"] for turn in data["messages"])]
        if self.kind == "vllm-pooling":
            return self._listed([{"data": [[-1.0], [reward(text)]]} for text in texts])
        assert data["use_activation"] is False
        return self._listed([{"probs": [reward(text)], "num_classes": 1, "label": "LABEL_0"} for text in texts])

    @staticmethod
    def _listed(entries: list[dict[str, Any]]) -> dict[str, Any]:
        return {"object": "list", "data": [{"index": i, **entry} for i, entry in enumerate(entries)][::-1]}


class _Handler(BaseHTTPRequestHandler):
    server: RewardServer

    def do_GET(self) -> None:
        self._reply(None)

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
        self.server.at_work()
        with self.server.lock:  # before the client knows that it may ask again
            self.server.busy -= 1
        self._reply(data)

    def _reply(self, data: Any) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, data, dict(self.headers)))
            self.server.count += data is not None
            count = self.server.count
        if data is not None and self.server.fault(self, count):
            return
        answer = self.server.answer(self.path, data)
        if answer is None:
            self.send(404, {"detail": "Not Found"})
        else:
            self.send(200, self.server.change(answer) if data is not None else answer)

    def send(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> bool:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        return True

    def drop(self) -> bool:
        """Close the connection without an answer."""
        self.close_connection = True
        self.connection.close()
        return True

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(kind: str) -> Iterator[RewardServer]:
    with RewardServer(kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""The routes: OpenAI's chat and text completions, the list of models, health and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from sea_toolkit.errors import SeaError
from sea_toolkit.serving.errors import ApiError, internal, of_sea_error, of_validation
from sea_toolkit.serving.gate import Gate
from sea_toolkit.serving.job import Job
from sea_toolkit.serving.menu import not_found
from sea_toolkit.serving.order import Order, order_of
from sea_toolkit.serving.replies import ChatReply, Reply, TextReply
from sea_toolkit.serving.requests import ChatRequest, CompletionRequest, keys_of
from sea_toolkit.serving.stream import Stream
from sea_toolkit.serving.worker import Worker

log = logging.getLogger("sea_toolkit.serving")
_REQUESTS: dict[str, type[ChatRequest | CompletionRequest]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
}


class Serving:
    """The handlers of one server.

    Args:
        worker: runs what is asked.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker, self.created = worker, int(time.time())
        self.menu, self.engine = worker.engine.menu, worker.engine

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        reply = ChatReply(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), body.model)
        return await self._complete(body, request, reply)

    async def complete(self, body: CompletionRequest, request: Request) -> Response:
        """`POST /v1/completions`."""
        reply = TextReply(f"cmpl-{uuid.uuid4().hex}", int(time.time()), body.model)
        return await self._complete(body, request, reply)

    async def models(self) -> dict[str, Any]:
        """`GET /v1/models`."""
        return {"object": "list", "data": [self._model(name) for name in self.menu.models]}

    async def model(self, name: str) -> dict[str, Any]:
        """`GET /v1/models/NAME`."""
        if name not in self.menu.models:
            raise not_found(name, self.menu.models)
        return self._model(name)

    async def health(self) -> Response:
        """`GET /health`: 200 once the models are loaded."""
        ready = self.worker.ready.is_set()
        data = {"status": "ok" if ready else "loading", "waiting": len(self.worker.waiting)}
        return JSONResponse(data, 200 if ready else 503)

    async def metrics(self) -> Response:
        """`GET /metrics`, in Prometheus' format."""
        return Response(self.worker.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.created, "owned_by": "sea-toolkit"}

    async def _complete(self, body: ChatRequest | CompletionRequest, request: Request, reply: Reply) -> Response:
        order = await run_in_threadpool(self._order, body)
        job = Job(order, streams=bool(body.stream))
        self.worker.waiting.put(job)
        if body.stream:
            return Stream(job, reply, body.stream_options is not None and body.stream_options.include_usage)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait([job.answers, gone], return_when=asyncio.FIRST_COMPLETED)
            if not job.answers.done():
                return Response(status_code=499)  # nobody reads it
            return JSONResponse(reply.whole(await job.answers))
        finally:
            gone.cancel()
            job.leave()

    def _order(self, body: ChatRequest | CompletionRequest) -> Order:
        order = order_of(body, self.menu, self.engine.hub)
        try:
            self.engine.check(order)
        except SeaError as error:
            raise of_sea_error(error, "sea") from error
        return order


async def _gone(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def make_app(worker: Worker, keys: Collection[str] = ()) -> Gate:
    """The server as an ASGI app.

    Args:
        worker: runs what is asked; its thread is started by whoever runs the app.
        keys: of clients; empty for a server that only this machine can reach.
    """
    serving = Serving(worker)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry={"tracing": False})
    app.add_api_route("/v1/chat/completions", serving.chat, methods=["POST"], response_model=None)
    app.add_api_route("/v1/completions", serving.complete, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models", serving.models, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", serving.model, methods=["GET"])
    app.add_api_route("/health", serving.health, methods=["GET"], response_model=None)
    app.add_api_route("/metrics", serving.metrics, methods=["GET"], response_model=None)
    app.add_exception_handler(ApiError, _told)
    app.add_exception_handler(RequestValidationError, _told)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(Exception, _told)
    return Gate(
        app, keys=keys, largest=worker.engine.menu.limits.body, is_ready=worker.ready.is_set,
        responded=worker.metrics.responded,
    )  # fmt: skip


async def _told(request: Request, error: Exception) -> Response:
    """Every error in OpenAI's form."""
    if isinstance(error, RequestValidationError):
        error = of_validation(error.errors(), keys_of(_REQUESTS[request.url.path]))
    elif isinstance(error, HTTPException):
        error = ApiError(error.status_code, str(error.detail), headers=error.headers)
    elif not isinstance(error, ApiError):
        error = internal()  # uvicorn logs what it was
    return JSONResponse(error.body(), error.status, headers=error.headers)

"""The routes of the server, and the limits on what may be asked of it.

It uses only Starlette and uvicorn: a framework that validates bodies against a schema looks at every number of a list
one by one, which costs more than the network. Here, bodies are parsed and checked whole lists at a time.

    POST /v1/models/NAME[/versions/N]:predict, :classify, :regress
    GET  /v1/models/NAME[/versions/N]             state of the versions
    GET  /v1/models/NAME[/versions/N]/metadata    signatures
    GET  /healthz, /readyz, /metrics
    GET, POST /                                   the page for people

Every error is {"error": "one sentence"} with TensorFlow Serving's codes; in addition, 408 and 413 for a body that is
too slow or too large, 429 if too much is asked at once, and 504 if an answer takes too long.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fcclf.serving.server import examples, page, pictures, rest, statuses
from fcclf.serving.server.batching import Batcher
from fcclf.serving.server.metrics import Metrics
from fcclf.serving.server.model import Model
from fcclf.serving.server.rest import Question
from fcclf.serving.server.statuses import RequestError
from fcclf.serving.server.versions import Versions
from fcclf.settings.serving import Serving
from fcclf.system.durable import reason

ADDRESS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(?::(\w+)|/(metadata))?")
METHODS = ("predict", "classify", "regress")
LARGE = 100_000  # bytes; larger bodies are parsed in a thread, not in the event loop
HEADERS = {statuses.TOO_MANY: {"Retry-After": "1"}, statuses.TOO_SLOW: {"Connection": "close"}}
LEFT = 499  # status counted for a client that has disconnected
PLAIN, JSON = "text/plain; charset=utf-8", "application/json"


class Address(NamedTuple):
    """What the path of a request means. number: of a version, None for the one that answers; verb: "predict",
    "metadata" and so on, None for the state."""

    number: int | None
    verb: str | None


class Server:
    """Answers for the model of `versions`, within the limits of `settings`.

    say: called with sentences; app: for an ASGI server; answered: number of requests answered; stopping: whether the
    shutdown has begun, for /readyz.
    """

    def __init__(self, versions: Versions, settings: Serving, say=lambda _: None, metrics: Metrics | None = None):
        self.versions, self.settings, self.say, self.metrics = versions, settings, say, metrics or Metrics()
        self.begun, self.stopping, self.answered = 0, False, 0
        self.pictures = pictures.Pictures()
        self.batcher = Batcher(
            settings.batch_window / 1000, settings.max_batch, lambda: self.begun, self.metrics.computed
        )
        self.app = Starlette(
            routes=[
                Route("/v1/models/{rest:path}", self._limited("status", self._tell), methods=["GET"]),
                Route("/v1/models/{rest:path}", self._limited("predict", self._ask), methods=["POST"]),
                Route("/healthz", self._alive),
                Route("/readyz", self._ready),
                Route("/metrics", self._measures),
                Route("/", self._limited("page", self._page), methods=["GET", "POST"]),
                Route("/page.css", self._limited("page", self._style)),
                Route("/boundary.png", self._limited("page", self._boundary)),
                Route("/example-{row:int}.png", self._limited("page", self._example)),
            ],
            exception_handlers={HTTPException: _no_route},
        )
        self.app.router.redirect_slashes = False

    # ---- limits ----

    def _limited(self, kind: str, endpoint: Callable[[Request], Awaitable[Response]]):
        """An endpoint within the limits, whose requests are counted. kind: for the metrics, if the address does not
        tell it."""

        async def limited(request):
            started = time.perf_counter()
            self.begun += 1
            self.metrics.begun.set(self.begun)
            try:
                response = await self._answered(endpoint, request)
            finally:
                self.begun -= 1
                self.metrics.begun.set(self.begun)
            code = response.status_code if response else LEFT
            self.answered += 1
            self.metrics.answered(_kind(request, kind), code, time.perf_counter() - started)
            return response or Response(status_code=statuses.BAD)

        return limited

    async def _answered(self, endpoint, request):
        """The response of an endpoint, or an error response; None if the client has disconnected."""
        try:
            if self.begun > self.settings.max_concurrent:
                wrong = (
                    f"{self.settings.max_concurrent} requests are being answered, and no more are allowed: try again."
                )
                raise RequestError(wrong, statuses.TOO_MANY)
            return await asyncio.wait_for(endpoint(request), self.settings.timeout)
        except RequestError as refusal:
            return _refused(refusal)
        except asyncio.TimeoutError:
            return _refused(self._too_slow(request))
        except ClientDisconnect:
            return None
        except Exception as error:  # other requests must still be answered
            self.say(f"error: {request.method} {request.url.path}: {type(error).__name__}: {reason(error)}")
            return _refused(RequestError(f"the server failed: {reason(error)}.", statuses.FAILED))

    def _too_slow(self, request):
        seconds = f"{self.settings.timeout:g} s"
        if request.method == "POST" and not hasattr(request.state, "size"):
            return RequestError(f"the body did not come within {seconds}: send it faster.", statuses.TOO_SLOW)
        return RequestError(f"the answer took longer than {seconds}: ask for fewer rows at once.", statuses.TIMED_OUT)

    async def _body(self, request) -> bytes:
        """The body of a request. Raises RequestError if it is too large."""
        most = self.settings.max_body
        too_large = RequestError(
            f"the body is larger than {most} bytes: ask for fewer rows at once.", statuses.TOO_LARGE
        )
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise too_large
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError("the body is compressed, which is not taken here: send it as it is.", statuses.NOT_TAKEN)
        parts, size = [], 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > most:
                raise too_large
        request.state.size = size
        return b"".join(parts)

    # ---- TensorFlow Serving's protocol ----

    async def _ask(self, request):
        address = self._address(request)
        if address.verb not in METHODS:
            raise RequestError(f"POST asks :predict, :classify or :regress of a model, not {request.url.path}.")
        body = await self._body(request)
        with self.versions.lease(address.number) as model:
            aside = asyncio.to_thread if len(body) > LARGE else _here
            asked = await aside(self._question, body, address.verb, model)
            outputs = await self.batcher.answer(model, asked)
            return Response(await aside(_written, asked, outputs, address.verb), media_type=JSON)

    def _question(self, body, verb, model: Model) -> Question:
        document, notes = rest.parsed(body), model.notes
        if verb == "predict":
            asked = rest.question(document, model.signatures, tuple(notes.schema.names) if notes else ())
        else:
            asked = examples.question(document, model.signatures, verb, notes.example_features if notes else None)
        return self._within_limits(asked)

    def _within_limits(self, asked):
        if asked.rows > self.settings.max_rows:
            most = self.settings.max_rows
            raise RequestError(f"{asked.rows} rows are asked for, but {most} at most are taken.", statuses.TOO_LARGE)
        return asked

    async def _tell(self, request):
        address = self._address(request)
        if address.verb in METHODS:
            raise RequestError(f":{address.verb} is asked by POST, with a JSON body.", statuses.NOT_ALLOWED)
        return Response(self._metadata(address) if address.verb else self._status(address), media_type=JSON)

    def _metadata(self, address):
        with self.versions.lease(address.number) as model:
            spec = {"name": self.versions.name, "signature_name": "", "version": str(model.number)}
            return rest.dumped({"model_spec": spec, "metadata": {"signature_def": model.metadata()}})

    def _status(self, address):
        states = {number: each for number, each in self.versions.states().items() if address.number in (None, number)}
        if not states:
            raise RequestError(f"version {address.number} of {self.versions.name} is not here.", statuses.NOT_FOUND)
        return rest.dumped({"model_version_status": [_status(number, *state) for number, state in states.items()]})

    def _address(self, request) -> Address:
        """What the path of a request means. Raises RequestError if it means nothing, or is that of another model."""
        path, name = request.scope["path"], self.versions.name
        found = ADDRESS.fullmatch(path)
        if not found or (found[4] and found[4] not in METHODS):
            raise RequestError(
                f"there is no address {path[:200]!r}: ask /v1/models/{name}:predict.", statuses.NOT_FOUND
            )
        if found[1] != name:
            raise RequestError(f"there is no model {found[1][:200]!r} here: ask /v1/models/{name}.", statuses.NOT_FOUND)
        if found[3] or len(found[2] or "") > 20:
            raise RequestError(f"version {(found[3] or found[2])[:200]!r} of {name} is not here.", statuses.NOT_FOUND)
        return Address(int(found[2]) if found[2] else None, found[4] or found[5])

    # ---- for monitoring ----

    async def _alive(self, request):
        return Response("alive\n", media_type=PLAIN)

    async def _ready(self, request):
        if self.stopping or not self.versions.current:
            return Response("not ready\n", statuses.UNAVAILABLE, media_type=PLAIN)
        return Response("ready\n", media_type=PLAIN)

    async def _measures(self, request):
        if self.versions.current:
            self.metrics.version.set(self.versions.current.number)
        return Response(self.metrics.text(), headers={"Content-Type": self.metrics.content_type})

    # ---- for people ----

    async def _page(self, request):
        fields = page.fields(await self._body(request)) if request.method == "POST" else {}
        with self.versions.lease() as model:
            outputs = wrong = None
            try:
                asked = page.question(model, fields)
                outputs = asked and await self.batcher.answer(model, self._within_limits(asked))
            except RequestError as refusal:
                wrong = str(refusal)
            shown = page.Shown(self.versions.name, model, fields, _host(request), outputs, wrong)
            return Response(shown.html(), media_type="text/html; charset=utf-8", headers=page.HEADERS)

    async def _style(self, request):
        return Response(page.STYLE, media_type="text/css; charset=utf-8", headers={"Cache-Control": "max-age=60"})

    async def _boundary(self, request):
        with self.versions.lease() as model:
            return _picture(await asyncio.to_thread(self.pictures.boundary, model))

    async def _example(self, request):
        with self.versions.lease() as model:
            return _picture(await asyncio.to_thread(pictures.example, model.notes, request.path_params["row"]))


def _written(asked, outputs, verb):
    write = {"predict": rest.answer, "classify": examples.classes_answer, "regress": examples.numbers_answer}[verb]
    return write(asked, outputs)


async def _here(function, *arguments):
    return function(*arguments)


def _status(number, state, wrong):
    status = {"error_code": "FAILED_PRECONDITION" if wrong else "OK", "error_message": wrong}
    return {"version": str(number), "state": state, "status": status}


def _kind(request, kind):
    found = ADDRESS.fullmatch(request.scope["path"])
    verb = found and (found[4] or found[5])
    return verb if verb in (*METHODS, "metadata") else kind


def _host(request):
    return request.headers.get("host", "127.0.0.1")


def _picture(content: bytes | None):
    if content is None:
        raise RequestError("this model has no such picture.", statuses.NOT_FOUND)
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=3600"})


def _refused(refusal: RequestError, headers=None) -> Response:
    headers = HEADERS.get(refusal.status, headers)
    return Response(rest.dumped({"error": str(refusal)}), refusal.status, headers, JSON)


async def _no_route(request, error):
    asked = f"{request.method} {request.url.path[:200]}"
    return _refused(
        RequestError(f"{asked} is nothing here: see / for what there is.", error.status_code), error.headers
    )

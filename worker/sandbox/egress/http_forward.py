"""One plain HTTP request on a connection of its own, and its response.

A response is taken apart only as far as it must be to know where it ends, so that the client may
keep its connection. No `Via` is added: it would tell every server where the request comes from.
"""

import asyncio
from collections.abc import AsyncIterator

from worker.sandbox.egress import answers, http_body, http_head, reasons
from worker.sandbox.egress.attempt import Attempt
from worker.sandbox.egress.errors import BadRequestError, FailedError
from worker.sandbox.egress.stream import Stream, end
from worker.sandbox.egress.target import Target
from worker.sandbox.egress.upstream import Upstream

MAX_RESPONSE_HEAD = 65_536  # bytes; some servers set many cookies
MAX_INTERIM = 16  # 1xx responses before the final one
SWITCHING, NO_CONTENT, NOT_MODIFIED = 101, 204, 304
UNTIL_CLOSE = -1  # the length of a body that ends with its connection


class Exchange:
    """Sends a request on and passes its response back."""

    def __init__(
        self, client: Stream, upstream: Upstream, attempt: Attempt, request: http_head.Request
    ) -> None:
        self._client, self._upstream = client, upstream
        self._attempt, self._request = attempt, request
        self._uploaded = False

    async def run(self, target: Target, length: int | None) -> bool:
        """Return whether the client's connection can take another request.

        Raises BadRequestError, FailedError or ClientGoneError.
        """
        await self._upstream.send(self._head(target, length))
        upload = asyncio.create_task(self._upload(length))
        download = asyncio.create_task(self._download())
        try:
            await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
            if not download.done():
                upload.result()  # a fault of the client ends it all
            return await download
        finally:
            await end(upload, download)

    def _head(self, target: Target, length: int | None) -> bytes:
        fields = http_head.end_to_end(self._request.fields, "host", "content-length")
        framing: http_head.Fields = ()
        if length is None:
            framing = (("Transfer-Encoding", "chunked"),)
        elif http_head.values(self._request.fields, "content-length"):
            framing = (("Content-Length", str(length)),)
        own = (("Host", target.authority()),)
        return http_head.written(
            f"{self._request.method} {target.path} HTTP/1.1",
            (*own, *fields, *framing, ("Connection", "close")),
        )

    async def _upload(self, length: int | None) -> None:
        try:
            async for piece in http_body.pieces(self._client, length):
                await self._upstream.send(http_body.chunk(piece) if length is None else piece)
            if length is None:
                await self._upstream.send(http_body.LAST_CHUNK)
        except FailedError as error:
            # It may have answered before it closed.
            if error.reason != reasons.UPSTREAM_FAILED:
                raise
        else:
            self._uploaded = True

    async def _download(self) -> bool:
        try:
            response = await self._final_head()
            length = self._length(response)
        except BadRequestError as error:
            raise FailedError(reasons.BAD_RESPONSE) from error
        # HTTP/1.0 clients know no chunks and keep no connections unless asked.
        modern = self._request.minor == 1
        chunked = length is None and modern
        to_close = "close" in http_head.items(self._request.fields, "connection")
        # A server may answer before it has the whole body, whose rest is then nobody's. One that
        # has it all may answer before the upload had the turn in which it notices its own end.
        await asyncio.sleep(0)
        reusable = modern and self._uploaded and not to_close and length != UNTIL_CLOSE
        await self._send_head(response, chunked=chunked, reusable=reusable)
        try:
            async for piece in self._body(length):
                await self._client.send(http_body.chunk(piece) if chunked else piece)
        except BadRequestError as error:
            raise FailedError(reasons.UPSTREAM_FAILED) from error
        if chunked:
            await self._client.send(http_body.LAST_CHUNK)
        return reusable

    async def _final_head(self) -> http_head.Response:
        for _ in range(MAX_INTERIM):
            head = await http_body.read_head(self._upstream, MAX_RESPONSE_HEAD)
            response = http_head.parse_response(head)
            if response.status == SWITCHING:
                break  # nobody asked for that: Upgrade is not sent on
            if response.status >= 200:
                return response
            if self._request.minor == 1:
                await self._client.send(_head(response))
        raise BadRequestError("no final response")

    def _length(self, response: http_head.Response) -> int | None:
        if self._request.method == "HEAD" or response.status in (NO_CONTENT, NOT_MODIFIED):
            return 0
        announced = "transfer-encoding", "content-length"
        if not any(http_head.values(response.fields, name) for name in announced):
            return UNTIL_CLOSE
        return http_head.body_length(response.fields, 1)

    def _body(self, length: int | None) -> AsyncIterator[bytes]:
        if length == UNTIL_CLOSE:
            return http_body.rest(self._upstream)
        return http_body.pieces(self._upstream, length)

    async def _send_head(
        self, response: http_head.Response, *, chunked: bool, reusable: bool
    ) -> None:
        own: http_head.Fields = (("Transfer-Encoding", "chunked"),) if chunked else ()
        if not reusable:
            own = (*own, ("Connection", "close"))
        self._attempt.answered = True
        await self._client.send(_head(response, own))


def _head(response: http_head.Response, own: http_head.Fields = ()) -> bytes:
    # A server must not be able to speak in the proxy's name.
    ours = answers.DENIED_HEADER.lower(), answers.FAILED_HEADER.lower()
    fields = http_head.end_to_end(response.fields, *ours)
    return http_head.written(f"HTTP/1.1 {response.status} {response.phrase}", (*fields, *own))

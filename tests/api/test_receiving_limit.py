"""How much may be on its way in: large bodies are admitted or refused, small ones come in."""

import asyncio
from contextlib import ExitStack

from deploy.local.process import wait_for
from tests.api import wire
from tests.api.wire import Wire
from tests.harness.services import Site

MIB = 1024 * 1024
LENGTH = b"Content-Length: %d\r\n"
SMALL = b'{"executionId":"a-run"}'


async def test_beyond_the_limit_large_bodies_are_503_and_small_ones_still_accepted(
    site: Site,
) -> None:
    gateway = site.gateway(
        INGEST_MAX_RECEIVING_BYTES=str(3 * MIB), INGEST_GROUP_SHARE_PERCENT="100"
    )
    gateway.start()

    def received() -> float:
        return gateway.metric("ingest_receiving_bytes")

    def exchange_all() -> None:
        with ExitStack() as stack:
            slow = [stack.enter_context(Wire(gateway.port)) for _ in range(3)]
            for connection in slow:
                connection.send(wire.patch(LENGTH % MIB) + b"{")
            assert wait_for(lambda: received() == 3 * MIB, 5)

            refused = wire.exchange(gateway.port, wire.patch(LENGTH % MIB) + b"{")
            assert refused is not None
            assert (refused.status, refused.error["code"]) == (503, "02011032")
            assert refused.headers["Retry-After"]

            # Of unknown length, and in a packet after the headers': small all the same.
            chunked = [stack.enter_context(Wire(gateway.port)) for _ in range(10)]
            for connection in chunked:
                connection.send(wire.patch(b"Transfer-Encoding: chunked\r\n"))
            for connection in chunked:
                connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMALL), SMALL))
            for connection in chunked:
                answer = connection.answer()
                assert answer is not None
                assert answer.status == 204
        assert wait_for(lambda: received() == 0, 5)

    await asyncio.to_thread(exchange_all)

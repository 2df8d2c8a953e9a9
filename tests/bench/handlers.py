"""The programs that the gateway is compared with: `python -m tests.bench.handlers KIND PORT`.

`bare` reads the body and answers 204; `validating` parses and checks it, too, with the product's
parser. Both use aiohttp's low-level server, which is its fastest, as the product does.

`textbook` is an aiohttp application as tutorials show it: it checks a body with that same parser
and publishes it with aio-pika, one message and one confirm for each request, to a durable quorum
queue; the consumer is `textbook.py`. `direct` pushes the points into the execution's document,
without a queue. All run on uvloop, and leave Python's garbage collector as it is. AMQP_URL,
MONGODB_URL and MONGODB_DATABASE are in the environment.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import aio_pika
import uvloop
from aiohttp import web
from aiohttp.web_request import BaseRequest
from motor.motor_asyncio import AsyncIOMotorCollection

from deploy.local.ports import LOOPBACK
from ingest.contract.parse import UpdateParser
from tests.bench.textbook import QUEUE, declare, documents, push

PATH = "/v2/lm/metrics"
_BACKLOG = 1024
Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


async def bare(request: BaseRequest) -> web.Response:
    """Read the body and answer."""
    await request.read()
    return web.Response(status=204)


def validating() -> Handler:
    """Make a handler that parses and validates as well."""
    parser = UpdateParser()

    async def answer(request: BaseRequest) -> web.Response:
        parser.parse(await request.read())
        return web.Response(status=204)

    return answer


async def textbook(_: web.Application) -> Handler:
    """Make a handler that publishes each body."""
    parser = UpdateParser()
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel(publisher_confirms=True)
    await declare(channel)
    exchange = channel.default_exchange

    async def answer(request: BaseRequest) -> web.Response:
        body = await request.read()
        parser.parse(body)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, routing_key=QUEUE)
        return web.Response(status=204)

    return answer


async def direct(_: web.Application) -> Handler:
    """Make a handler that writes each body."""
    parser = UpdateParser()
    collection: AsyncIOMotorCollection[dict[str, object]] = documents()

    async def answer(request: BaseRequest) -> web.Response:
        await push(collection, parser.parse(await request.read()))
        return web.Response(status=204)

    return answer


async def serve_low_level(port: int, handler: Handler) -> None:
    """Serve one handler for all requests, without an application."""
    runner = web.ServerRunner(web.Server(handler, access_log=None))
    await _serve(runner, port)


async def serve_application(
    port: int, make: Callable[[web.Application], Awaitable[Handler]]
) -> None:
    """Serve one handler on its path, in an application."""
    application = web.Application(client_max_size=2**25)
    application.router.add_route("PATCH", PATH, await make(application))
    await _serve(web.AppRunner(application, access_log=None), port)


async def _serve(runner: web.BaseRunner, port: int) -> None:
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port, backlog=_BACKLOG).start()
    await asyncio.Event().wait()


def main() -> None:
    """Serve until a signal."""
    kind, port = sys.argv[1], int(sys.argv[2])
    serving = {
        "bare": lambda: serve_low_level(port, bare),
        "validating": lambda: serve_low_level(port, validating()),
        "textbook": lambda: serve_application(port, textbook),
        "direct": lambda: serve_application(port, direct),
    }
    uvloop.run(serving[kind]())


if __name__ == "__main__":
    main()

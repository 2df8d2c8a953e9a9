"""The broker's topology as data: the only place where exchanges and queues are named.

Gateway and worker declare all of it whenever they connect, so either may start first and a
deleted queue comes back. The arguments work on RabbitMQ 3.10 and 4.x. Changing an argument of
an existing queue is refused by the broker (406): length limits therefore belong in a policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# A delivery counts as failed when its worker dies or loses the broker. The limit only exists
# for an update that kills every worker that touches it; an honest outage must never reach it.
DELIVERY_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable direct exchange."""

    name: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue, bound to `exchange` with `routing_key`."""

    name: str
    exchange: Exchange
    routing_key: str
    arguments: Mapping[str, str | int] = field(default_factory=dict)


UPDATES_EXCHANGE = Exchange("metrics.updates")
DEAD_LETTER_EXCHANGE = Exchange("metrics.dead-letters")
ROUTING_KEY = "update"

UPDATES_QUEUE = Queue(
    name="metrics.updates",
    exchange=UPDATES_EXCHANGE,
    routing_key=ROUTING_KEY,
    arguments={
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        # At-least-once dead-lettering wants reject-publish: a full queue answers nack, and the
        # gateway 503.
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE.name,
        "x-dead-letter-strategy": "at-least-once",
    },
)
DEAD_LETTER_QUEUE = Queue(
    name="metrics.dead-letters",
    exchange=DEAD_LETTER_EXCHANGE,
    routing_key=ROUTING_KEY,
    # Looking at dead letters delivers them. RabbitMQ 4 drops a message after 20 deliveries unless
    # told otherwise, and nothing stands behind this queue.
    arguments={"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1},
)

# In the order in which they must be declared.
EXCHANGES = (UPDATES_EXCHANGE, DEAD_LETTER_EXCHANGE)
QUEUES = (DEAD_LETTER_QUEUE, UPDATES_QUEUE)

"""The broker's topology as data: the only place where exchanges and queues are named.

Gateway and worker declare all of it whenever they connect, so either may start first and a
deleted queue comes back. The arguments work on RabbitMQ 3.10 and 4.x. Changing an argument of
an existing queue is refused by the broker (406): length limits therefore belong in a policy.

Updates are spread over as many queues as a setting says: they may be applied in any order. The
first queue's name does not tell that it has others beside it, so it is there whatever the number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# A delivery counts as failed when its worker dies or loses the broker. The limit only exists
# for an update that kills every worker that touches it; an honest outage must never reach it.
DELIVERY_LIMIT = 100

# The most queues of updates: 64 cores' worth, since each is one Raft group.
MAX_UPDATES_QUEUES = 64


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
    arguments: Mapping[str, str | int] = field(default_factory=dict, hash=False)


UPDATES_EXCHANGE = Exchange("metrics.updates")
DEAD_LETTER_EXCHANGE = Exchange("metrics.dead-letters")
ROUTING_KEY = "update"

# In the order in which they must be declared, before the queues.
EXCHANGES = (UPDATES_EXCHANGE, DEAD_LETTER_EXCHANGE)


def updates_queue(number: int) -> Queue:
    """Return a queue of updates by its number, which counts from 0."""
    suffix = f".{number}" if number else ""
    # Not for the first, whose arguments must stay. A dead letter keeps its routing key unless told
    # otherwise; the first queue's is that of the dead letters already. And without a locator all
    # leaders would be on the node of whoever declares the queues.
    further = {
        "x-dead-letter-routing-key": ROUTING_KEY,
        "x-queue-leader-locator": "balanced",
    }
    return Queue(
        name=f"metrics.updates{suffix}",
        exchange=UPDATES_EXCHANGE,
        routing_key=f"{ROUTING_KEY}{suffix}",
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            # At-least-once dead-lettering wants reject-publish: a full queue answers nack, and the
            # gateway 503.
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE.name,
            "x-dead-letter-strategy": "at-least-once",
            **(further if number else {}),
        },
    )


def updates_queues(count: int) -> tuple[Queue, ...]:
    """Return the first so many queues of updates."""
    return tuple(updates_queue(number) for number in range(count))


# The one that is always there: replayed dead letters go to it.
UPDATES_QUEUE = updates_queue(0)
DEAD_LETTER_QUEUE = Queue(
    name="metrics.dead-letters",
    exchange=DEAD_LETTER_EXCHANGE,
    routing_key=ROUTING_KEY,
    # Looking at dead letters delivers them. RabbitMQ 4 drops a message after 20 deliveries unless
    # told otherwise, and nothing stands behind this queue.
    arguments={"x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1},
)

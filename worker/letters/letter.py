"""A dead letter as it is found on the queue, and the filter that picks some of them.

It comes from one of two. A worker publishes what it cannot apply, with headers that say why (see
worker/dead_letters.py). The broker moves a message that was delivered too often, and says so in
headers of its own; such a message may hold entries of many executions, which only its body names.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson
from aio_pika.abc import AbstractIncomingMessage

from ingest.contract.compression import decompress

SHORT_ID_DIGITS = 12
SHA256_DIGITS = 64
_BROKER_DETAIL = "delivered too often: each worker that took it died or lost the broker"


class Letter:
    """A dead letter with its body. Everything that is costly is found out when first asked for."""

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self.body: bytes = message.body
        self.headers: Mapping[str, Any] = message.headers
        self.content_type = message.content_type
        self._timestamp = message.timestamp

    @cached_property
    def sha256(self) -> str:
        """The body's digest. Two letters with the same body are the same to everyone."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def id(self) -> str:
        """The digest's first digits: short, and the same whenever and wherever one looks."""
        return self.sha256[:SHORT_ID_DIGITS]

    @property
    def reason(self) -> str:
        """Why it is here, in the worker's words; `delivery-limit` is the broker's."""
        reason = self._header("reason") or self._header("x-first-death-reason").replace("_", "-")
        return reason or "unknown"

    @property
    def detail(self) -> str:
        """What exactly was wrong; empty if nobody said."""
        by_broker = not self._header("reason") and self.reason == "delivery-limit"
        return _BROKER_DETAIL if by_broker else self._header("detail")

    @property
    def dead_lettered_at(self) -> datetime | None:
        """When it came here, to the second; None if nobody said."""
        at = self._timestamp
        deaths = self.headers.get("x-death")
        if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
            at = deaths[0].get("time")
        return at.astimezone(UTC) if isinstance(at, datetime) else None

    @cached_property
    def entries(self) -> list[Any] | None:
        """The entries of the message, of whatever version; None if there is no finding them."""
        try:
            message = orjson.loads(decompress(self.body))
        except ValueError:
            return None
        entries = message.get("entries") if isinstance(message, dict) else None
        return entries if isinstance(entries, list) else None

    @cached_property
    def resources(self) -> list[tuple[str, str]]:
        """The (resource group, execution id) it is about; either is empty if it is not known.

        They are what the worker wrote down, else those of all entries that name one.
        """
        named = (self._header("resourceGroup"), self._header("executionId"))
        if all(named):
            return [named]
        found = dict.fromkeys(_resource_of(entry) for entry in self.entries or ())
        return [resource for resource in found if any(resource)]

    def _header(self, name: str) -> str:
        value = self.headers.get(name, "")
        if isinstance(value, bytes):
            return value.decode(errors="backslashreplace")
        return str(value)


def _resource_of(entry: Any) -> tuple[str, str]:
    """Return what an entry says of its resource, however malformed it is."""
    if not isinstance(entry, dict):
        return "", ""
    resource = entry.get("resource")
    execution_id = resource.get("executionId") if isinstance(resource, dict) else None
    return _text(entry.get("resourceGroup")), _text(execution_id)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant: those that satisfy all that is given.

    A letter of several entries is meant if one of them is in the group and of the execution.
    """

    ids: tuple[str, ...] = ()
    reason: str | None = None
    resource_group: str | None = None
    execution_id: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is given."""
        return bool(self.ids) or any(
            one is not None for one in (self.reason, self.resource_group, self.execution_id)
        )

    def done_after(self, seen: Iterable[str]) -> bool:
        """Tell whether whole digests are asked for, and all of them were seen."""
        whole = all(len(one) == SHA256_DIGITS for one in self.ids)
        return bool(self.ids) and whole and set(self.ids) <= set(seen)

    def matches(self, letter: Letter) -> bool:
        """Tell whether a letter is meant. The cheap questions come first."""
        if self.reason is not None and letter.reason != self.reason:
            return False
        if self.ids and not letter.sha256.startswith(self.ids):
            return False
        if self.resource_group is None and self.execution_id is None:
            return True
        return any(
            self.resource_group in (None, group) and self.execution_id in (None, execution_id)
            for group, execution_id in letter.resources
        )

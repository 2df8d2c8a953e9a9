"""The gateway's settings."""

import re
from dataclasses import dataclass

from ingest.runtime.settings import (
    HOST,
    HTTP_URL,
    PORT,
    YES_NO,
    ProcessSettings,
    Rule,
    When,
    choice,
    integer,
    seconds,
    setting,
    text,
)

_MIB = 1024 * 1024
_WITH_TOKENS = When("INGEST_AUTH", "jwt")
# What may stand between the quotes of WWW-Authenticate (RFC 6750, section 3); no space, as it
# separates scopes.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("\\", "")
NO_ORIGINS = "none"
ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _origins(value: str) -> str:
    """Accept what browsers send as Origin: small letters, no path."""
    listed = [one.strip() for one in value.split(",")]
    if value not in (NO_ORIGINS, ANY_ORIGIN) and not all(map(_ORIGIN.fullmatch, listed)):
        raise ValueError(value)
    return ",".join(listed)


ORIGINS = Rule("none, *, or origins such as https://app.example, comma-separated", _origins)
_NAME = text('up to 256 visible ASCII characters except " and \\', _VISIBLE, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings(ProcessSettings):
    """What else can be set, with its default. See the README's table."""

    host: str = setting(
        "INGEST_HOST", HOST, "127.0.0.1", about="The address both ports are bound to."
    )
    port: int = setting("INGEST_PORT", PORT, 8080, about="The port for clients.")
    reuse_port: str = setting(
        "INGEST_REUSE_PORT",
        YES_NO,
        "no",
        about="Whether several gateways share the port for clients (SO_REUSEPORT); all say yes.",
    )
    ops_port: int = setting(
        "INGEST_OPS_PORT", PORT, 8081, about="The port for /livez, /readyz and /metrics."
    )
    auth: str = setting(
        "INGEST_AUTH",
        choice("jwt", "none"),
        about="Who may come in: callers with a bearer token, or everyone who reaches the port.",
    )
    cors_origins: str = setting(
        "INGEST_CORS_ORIGINS",
        ORIGINS,
        NO_ORIGINS,
        about="The origins whose pages may use the API from a browser (CORS).",
    )
    jwt_jwks_url: str = setting(
        "INGEST_JWT_JWKS_URL",
        HTTP_URL,
        "",
        required_when=_WITH_TOKENS,
        about="Where the keys are published that tokens are signed with (a JWKS).",
    )
    jwt_issuer: str = setting(
        "INGEST_JWT_ISSUER",
        _NAME,
        "",
        required_when=_WITH_TOKENS,
        about="What a token's `iss` must be.",
    )
    jwt_audience: str = setting(
        "INGEST_JWT_AUDIENCE",
        _NAME,
        "",
        required_when=_WITH_TOKENS,
        about="What a token's `aud` must be or contain.",
    )
    jwt_leeway_s: float = setting(
        "INGEST_JWT_LEEWAY_S",
        seconds(0, 300),
        30.0,
        about="How far the clocks of issuer and gateway may differ.",
    )
    jwt_refresh_s: float = setting(
        "INGEST_JWT_REFRESH_S",
        seconds(1, 86400),
        300.0,
        about="How often the keys are fetched again; how long a withdrawn key still counts.",
    )
    jwt_scope_claim: str = setting(
        "INGEST_JWT_SCOPE_CLAIM",
        _NAME,
        "scope",
        about="The claim with the caller's scopes or roles; `a.b` is `b` inside `a`.",
    )
    jwt_write_scope: str = setting(
        "INGEST_JWT_WRITE_SCOPE", _NAME, "metrics.write", about="The scope for PATCH and DELETE."
    )
    jwt_read_scope: str = setting(
        "INGEST_JWT_READ_SCOPE", _NAME, "metrics.read", about="The scope for GET."
    )
    jwt_groups_claim: str = setting(
        "INGEST_JWT_GROUPS_CLAIM",
        _NAME,
        "resource_groups",
        about="The claim with the resource groups the caller may use; `*` means all.",
    )
    max_body_bytes: int = setting(
        "INGEST_MAX_BODY_BYTES",
        integer(1024, 256 * _MIB),
        20 * _MIB,
        about="The largest body, after decompression; more is 413.",
    )
    max_custom_info_value_chars: int = setting(
        "INGEST_MAX_CUSTOM_INFO_VALUE_CHARS",
        integer(1, 5 * _MIB),
        256,
        about="The longest value of a custom info; the whole is limited to 5 MiB anyway.",
    )
    body_timeout_s: float = setting(
        "INGEST_BODY_TIMEOUT_S",
        seconds(0.1, 3600),
        30.0,
        about="The time in which a body must have been sent; later is 408.",
    )
    max_receiving_bytes: int = setting(
        "INGEST_MAX_RECEIVING_BYTES",
        integer(_MIB, 16 * 1024 * _MIB),
        64 * _MIB,
        about="Bytes of bodies over 64 KiB that may be on their way in at once; beyond it 503.",
    )
    max_pending_bytes: int = setting(
        "INGEST_MAX_PENDING_BYTES",
        integer(_MIB, 16 * 1024 * _MIB),
        64 * _MIB,
        about="Bytes of updates that may wait for the broker's confirm; beyond it 503.",
    )
    max_group_bytes: int = setting(
        "INGEST_MAX_GROUP_BYTES",
        integer(1024, 16 * _MIB),
        _MIB,
        about="The largest message that several updates share.",
    )
    max_group_entries: int = setting(
        "INGEST_MAX_GROUP_ENTRIES",
        integer(1, 65535),
        500,
        about="Updates that share a message at most (a segment's id has two bytes for it).",
    )
    max_message_bytes: int = setting(
        "INGEST_MAX_MESSAGE_BYTES",
        integer(_MIB, 128 * _MIB),
        16 * _MIB - 64 * 1024,
        about="The largest message the broker takes; a larger update is split.",
    )
    max_messages_in_flight: int = setting(
        "INGEST_MAX_MESSAGES_IN_FLIGHT",
        integer(1, 32),
        4,
        about="Messages that wait for their confirm at once, for each queue; fewer: larger groups.",
    )
    confirm_timeout_s: float = setting(
        "INGEST_CONFIRM_TIMEOUT_S",
        seconds(0.1, 300),
        10.0,
        about="The time within which an update is confirmed, or answered 503.",
    )
    max_reads: int = setting(
        "INGEST_MAX_READS",
        integer(1, 10_000),
        128,
        about="Reads that are answered at once, and as many that wait for updates; then 503.",
    )
    max_reading_bytes: int = setting(
        "INGEST_MAX_READING_BYTES",
        integer(_MIB, 16 * 1024 * _MIB),
        64 * _MIB,
        about="Bytes of stored points that reads over 64 KiB may hold at once; beyond it 503.",
    )
    group_share_percent: int = setting(
        "INGEST_GROUP_SHARE_PERCENT",
        integer(1, 100),
        50,
        about="What one resource group may use of each of these limits; beyond it 429.",
    )
    group_max_requests_per_s: int = setting(
        "INGEST_GROUP_MAX_REQUESTS_PER_S",
        integer(0, 1_000_000),
        0,
        about="Requests per second of one resource group through one gateway; 0: no limit.",
    )
    max_connections: int = setting(
        "INGEST_MAX_CONNECTIONS",
        integer(1, 1_000_000),
        5000,
        about="Connections of clients; one more is answered 503 and closed.",
    )
    header_timeout_s: float = setting(
        "INGEST_HEADER_TIMEOUT_S",
        seconds(0.1, 3600),
        10.0,
        about="The time from a request's first byte in which its headers must be complete.",
    )
    stall_timeout_s: float = setting(
        "INGEST_STALL_TIMEOUT_S",
        seconds(0.1, 3600),
        60.0,
        about="A client that takes nothing of its answer for this long is cut off.",
    )
    read_wait_s: float = setting(
        "INGEST_READ_WAIT_S",
        seconds(0, 60),
        5.0,
        about="How long a read waits for the updates this gateway accepted before it.",
    )
    traces_percent: int = setting(
        "INGEST_TRACES_PERCENT",
        integer(0, 100),
        1,
        about="Updates that are traced, of those whose client says nothing of it (`traceparent`).",
    )
    drain_timeout_s: float = setting(
        "INGEST_DRAIN_TIMEOUT_S",
        seconds(0, 600),
        20.0,
        about="How long requests in flight may take after SIGTERM.",
    )

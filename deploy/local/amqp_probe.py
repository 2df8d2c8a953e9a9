"""Ask an AMQP 0-9-1 broker whether it lets a client in, without a client library.

The handshake goes as far as Connection.Tune, which a broker sends once it has checked the
credentials. Frames and methods: AMQP 0-9-1 specification, sections 2.3.5, 4.2.3 and 4.2.2.
"""

import socket
import ssl
import struct
from contextlib import ExitStack

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_FRAME_METHOD = 1
_FRAME_END = b"\xce"
_FRAME_HEADER_BYTES = 7
_CONNECTION_START = (10, 10)
_CONNECTION_START_OK = (10, 11)
_CONNECTION_TUNE = (10, 30)


def accepts_login(
    address: tuple[str, int],
    user: str,
    password: str,
    *,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
) -> bool:
    """Say whether the broker accepts a connection with these credentials."""
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(address, timeout_s))
            if tls is not None:
                secured = tls.wrap_socket(connection, server_hostname=address[0])
                connection = stack.enter_context(secured)
            connection.sendall(_PROTOCOL_HEADER)
            if _read_method(connection) != _CONNECTION_START:
                return False
            connection.sendall(_start_ok(user, password))
            return _read_method(connection) == _CONNECTION_TUNE
    except OSError:
        return False


def _start_ok(user: str, password: str) -> bytes:
    no_properties = struct.pack(">I", 0)
    mechanism = _short_string(b"PLAIN")
    response = f"\0{user}\0{password}".encode()
    payload = b"".join(
        [
            struct.pack(">HH", *_CONNECTION_START_OK),
            no_properties,
            mechanism,
            struct.pack(">I", len(response)),
            response,
            _short_string(b"en_US"),
        ],
    )
    return struct.pack(">BHI", _FRAME_METHOD, 0, len(payload)) + payload + _FRAME_END


def _short_string(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _read_method(connection: socket.socket) -> tuple[int, int]:
    """Read one frame; return its class and method numbers, (0, 0) if it carries none."""
    kind, _, size = struct.unpack(">BHI", _read(connection, _FRAME_HEADER_BYTES))
    payload = _read(connection, size + len(_FRAME_END))
    if kind != _FRAME_METHOD:
        return (0, 0)
    class_number, method_number = struct.unpack_from(">HH", payload)
    return (class_number, method_number)


def _read(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError("the broker closed the connection")
        received += chunk
    return received

"""Messages are compressed: the broker writes every byte to its log, on each of its nodes.

What is not compressed is itself: a message may come either way, and small ones always do. The
entries of a message resemble each other, so a group of them shrinks to a tenth or less.
"""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Smaller messages gain too little.
MIN_BYTES = 4096
# No message is larger once it is decompressed: the settings do not let it be.
MAX_BYTES = 256 * 1024 * 1024
_LEVEL = 1
_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1


class Compressor:
    """Compress messages. One for all of a process: to make one takes longer than to use it."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(_LEVEL)

    def compress(self, message: bytes) -> bytes:
        """Return what is published of a message: compressed, if it is worth it."""
        if len(message) < MIN_BYTES:
            return message
        self._compressor.set_pledged_input_size(len(message))  # so that it stands in front
        return self._compressor.compress(message, zstd.ZstdCompressor.FLUSH_FRAME)


def decompressed_bytes(body: bytes) -> int:
    """Return how large a body is once it is decompressed, without doing it.

    Raises:
        ValueError: it is compressed otherwise than here, or damaged.
    """
    if not body.startswith(_MAGIC):
        return len(body)
    try:
        size = zstd.get_frame_info(body).decompressed_size
    except zstd.ZstdError as error:
        raise ValueError(f"not zstd: {error}") from error
    if not size or size > MAX_BYTES:  # None, if it does not say
        raise ValueError(f"not a message: it says it has {size} bytes")
    return size


def decompress(body: bytes) -> bytes:
    """Return a body's message. What is not compressed is returned as it is.

    Raises:
        ValueError: it is compressed otherwise than here, or damaged.
    """
    if not body.startswith(_MAGIC):
        return body
    size = decompressed_bytes(body)
    decompressor = zstd.ZstdDecompressor()
    try:
        message = decompressor.decompress(body, size)
    except zstd.ZstdError as error:
        raise ValueError(f"not zstd: {error}") from error
    if len(message) != size or not decompressor.eof or decompressor.unused_data:
        raise ValueError("not a message: it is cut, or something follows it")
    return message

"""Text from outside made safe for a terminal, and bytes made visible.

Dead letters and answers hold what somebody sent. Written as it is, it could move the cursor, change
what is shown, or have some terminals run things.
"""

from collections.abc import Iterator

_BYTES_PER_LINE = 16


def printable(text: str) -> str:
    """Return text with everything that is no visible character or space as JSON escapes.

    Of JSON text, whose own control characters are escaped already, the value stays the same.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))


def shortened(text: str, max_chars: int) -> str:
    """Return the text, or its beginning and an ellipsis."""
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def size(count: int) -> str:
    """Return a number of bytes for a person: 17 B, 1.2 kB, 16.0 MB."""
    if count < 1000:  # noqa: PLR2004 - a kilobyte
        return f"{count} B"
    value, unit = (count / 1000, "kB") if count < 999_950 else (count / 1e6, "MB")  # noqa: PLR2004
    return f"{value:.1f} {unit}"


def hexdump(body: bytes) -> Iterator[str]:
    """Yield a line for each 16 bytes: offset, the bytes in hexadecimal, and as ASCII."""
    for start in range(0, len(body), _BYTES_PER_LINE):
        part = body[start : start + _BYTES_PER_LINE]
        ascii_ = "".join(chr(one) if chr(one).isprintable() and one < 127 else "." for one in part)  # noqa: PLR2004
        yield f"{start:08x}  {part.hex(' '):<47}  {ascii_}"

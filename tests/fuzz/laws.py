"""What must hold for any bytes at all. Each law raises where it does not.

`make fuzz` gives them bytes guided by coverage; tests/fuzz/test_kept.py, which is part of
`make test`, gives them every kept file. The rules of a resource come from tests/input/oracle.py,
written by hand: neither the schema nor orjson decides what is right.
"""

from collections.abc import Callable

from tests.fuzz import updates, wire

LAWS: dict[str, Callable[[bytes], None]] = {
    "parse": updates.parse,
    "message": updates.message,
    "body": wire.body,
    "query": wire.query,
}

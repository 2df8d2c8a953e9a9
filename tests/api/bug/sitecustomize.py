# ruff: noqa: INP001 - no package: its folder stands on PYTHONPATH
"""A gateway with a bug: first on PYTHONPATH, every answer that is a success fails to be made.

Python imports this at its start, before the gateway's own modules.
"""

import sys
from typing import NoReturn

if "ingest" in sys.orig_argv:
    import ingest.openapi.page
    from ingest import responses

    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("a bug, for a test")

    responses.json_response = fail
    responses.options_response = fail
    responses.NoContent.__init__ = fail  # type: ignore[method-assign]
    ingest.openapi.page.FileEndpoint._load = fail  # type: ignore[method-assign]  # noqa: SLF001

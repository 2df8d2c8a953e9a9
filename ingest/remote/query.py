"""The command `query`: from the gateway's answer to what is printed, and to an exit code."""

import json
import sys
from collections.abc import Mapping

from rich.console import Console

from ingest.errors import Error
from ingest.remote.gateway import GatewayClient, RefusedError, UnavailableError
from ingest.remote.view import print_answer
from ingest.runtime.process import EXIT_FAILED

EXIT_REFUSED = 3
EXIT_NOT_FOUND = 4


class Querying:
    """Ask a gateway and print what it finds."""

    def __init__(self, client: GatewayClient, err: Console) -> None:
        self._client = client
        self._err = err

    async def run(self, parameters: Mapping[str, str], *, as_table: bool) -> int:
        """Ask, print, and return the exit code."""
        try:
            await (self._table(parameters) if as_table else self._json(parameters))
        except RefusedError as error:
            if error.code == Error.NOT_FOUND.value.code:
                self._err.print("nothing was found")
                return EXIT_NOT_FOUND
            self._err.print(f"Refused: {error}")
            for detail in error.details:
                self._err.print(f"  {detail}")
            return EXIT_REFUSED
        except UnavailableError as error:
            self._err.print(f"Failed: {error}")
            return EXIT_FAILED
        return 0

    async def _json(self, parameters: Mapping[str, str]) -> None:
        """Pass the answer on, however large it is, as it comes."""
        async with self._client.find(parameters) as answer:
            async for piece in answer.iter_any():
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"\n")

    async def _table(self, parameters: Mapping[str, str]) -> None:
        async with self._client.find(parameters) as answer:
            content = await answer.read()
        print_answer(json.loads(content))

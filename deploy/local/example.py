"""The example of the API's documentation, and the commands that send it and read it back."""

import json
import shlex

from ingest.openapi.example import EXAMPLE, EXECUTION_ID, RESOURCE_GROUP

PATH = "/v2/lm/metrics"
BODY = json.dumps(EXAMPLE, separators=(",", ":"))


def patch_command(url: str) -> str:
    """Return a shell command that sends the example; it prints the answer's status line, 204."""
    # shlex.quote's '"'"' for a quote would drown the body's own double quotes.
    quoted = "'" + BODY.replace("'", r"'\''") + "'"
    return (
        f"curl -i -X PATCH {shlex.quote(url + PATH)} -H 'AI-Resource-Group: {RESOURCE_GROUP}' "
        f"-H 'Content-Type: application/json' -d {quoted}"
    )


def get_command(url: str) -> str:
    """Return a shell command that reads the example back."""
    address = shlex.quote(f"{url}{PATH}?executionIds={EXECUTION_ID}")
    return f"curl {address} -H 'AI-Resource-Group: {RESOURCE_GROUP}'"

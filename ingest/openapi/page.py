"""GET /docs: the document in a browser, with Swagger UI, and nothing from any other address.

Swagger UI's files come from a Python package, which is never imported: it is made for Flask. What
is ours is a page that loads them and a script that starts them; a policy keeps the browser from
loading, sending or running anything else.
"""

import asyncio
import gzip
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.compression import ENCODED, VARY, accepts_gzip
from ingest.responses import common_headers

_PACKAGE = "flask-swagger-ui"
_FILES = "flask_swagger_ui/dist"

_PAGE = b"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Metric ingestion</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = b"""\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null, // would be asked at another address
  tryItOutEnabled: true,
  persistAuthorization: false, // a token is forgotten with the page
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  queryConfigEnabled: false, // no link changes what the page shows
});
"""
# Swagger UI writes styles into its elements, and its own pictures into its styles.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "max-age=300",
}
# What the page loads, with its type.
ASSETS = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
HTML = "text/html"


class FileEndpoint:
    """Answer GET with a file. It is read and compressed when it is first asked for."""

    def __init__(self, content_type: str, read: Callable[[], bytes]) -> None:
        self._content_type = content_type
        self._read = read
        self._plain = self._gzip = b""

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        if not self._plain:
            self._plain, self._gzip = await asyncio.to_thread(self._load)
        headers = common_headers(request_id) | _HEADERS | VARY
        body = self._plain
        if len(self._gzip) < len(body) and accepts_gzip(request):
            headers |= ENCODED
            body = self._gzip
        charset = None if self._content_type.startswith("image/") else "utf-8"
        return web.Response(
            body=body, content_type=self._content_type, charset=charset, headers=headers
        )

    def _load(self) -> tuple[bytes, bytes]:
        plain = self._read()
        return plain, gzip.compress(plain, mtime=0)


def page_endpoints(path: str) -> dict[str, FileEndpoint]:
    """Return the endpoints of the page and of what it loads, by their paths.

    Raises:
        PackageNotFoundError: Swagger UI is not installed.
    """
    folder = Path(str(distribution(_PACKAGE).locate_file(_FILES)))
    endpoints = {path: FileEndpoint(HTML, lambda: _PAGE)}
    for name, content_type in ASSETS.items():
        read = (lambda: _START) if name == "start.js" else (folder / name).read_bytes
        endpoints[f"{path}/{name}"] = FileEndpoint(content_type, read)
    return endpoints

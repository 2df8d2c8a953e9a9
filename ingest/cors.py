"""Cross-origin requests (CORS): what pages of other origins may do, if the settings name any.

A browser asks before it lets a page send anything but the simplest requests; that question, the
preflight, needs no token. Nothing here ever allows credentials, that is cookies: who may come in is
decided by a token that the page itself must have.
"""

from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from ingest.dispatch import Dispatch
from ingest.responses import add_headers
from ingest.settings import ANY_ORIGIN, NO_ORIGINS

# What a page may send beyond what it always may, and what it may see of an answer.
_REQUEST_HEADERS = (
    "AI-Resource-Group",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "X-Request-ID",
    # What a page sends that is traced itself (W3C Trace Context).
    "traceparent",
    "tracestate",
)
_EXPOSED = ("Allow", "Retry-After", "WWW-Authenticate", "X-Request-ID")
# How long a browser need not ask again.
_PREFLIGHT_MAX_AGE_S = 600


def with_cors(dispatcher: Dispatch, origins: str) -> Dispatch:
    """Return a dispatcher for these origins: itself, if there are none."""
    return dispatcher if origins == NO_ORIGINS else _CorsDispatcher(dispatcher, origins)


class _CorsDispatcher:
    """A dispatcher whose answers say which pages may read them."""

    def __init__(self, dispatcher: Dispatch, origins: str) -> None:
        """Take the origins that are allowed, as the setting has them."""
        self._dispatcher = dispatcher
        self._origins = frozenset(origins.split(","))

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        more: CIMultiDict[str] = CIMultiDict()
        if ANY_ORIGIN in self._origins:
            more["Access-Control-Allow-Origin"] = ANY_ORIGIN
        else:
            more["Vary"] = "Origin"
            origin = request.headers.get("Origin")
            if origin in self._origins:
                more["Access-Control-Allow-Origin"] = origin
        asked = request.headers.get("Access-Control-Request-Method")
        allowed = "Access-Control-Allow-Origin" in more
        if allowed:
            more["Access-Control-Expose-Headers"] = ", ".join(_EXPOSED)
        add_headers(request, more)
        response = await self._dispatcher(request)
        if not response.prepared:
            response.headers.extend(more)
        if allowed and asked and request.method == "OPTIONS" and "Allow" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
            response.headers["Access-Control-Allow-Headers"] = ", ".join(_REQUEST_HEADERS)
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_MAX_AGE_S)
        return response

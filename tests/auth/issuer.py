"""An issuer of tokens: keys, signed tokens, and a server for the JWKS that can misbehave."""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from deploy.local.ports import LOOPBACK, choose_port

ISSUER = "https://issuer.example/tenant"
AUDIENCE = "metrics-gateway"
LIFE_S = 600

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def public_jwk(key: PrivateKey, **fields: Any) -> dict[str, Any]:
    """Make the JWK of a key's public half."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # PyJWT adds what a key is for; what a test wants of that, it says.
    return {name: jwk[name] for name in jwk if name not in ("key_ops", "use", "alg")} | fields


def signed(key: PrivateKey, claims: dict[str, Any], **header: Any) -> str:
    """Sign claims as the key's type asks for."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims, key, algorithm, headers=header)


def usual_claims(**changes: Any) -> dict[str, Any]:
    """Make the claims of a token that may do everything; a change to None leaves one out."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LIFE_S,
        "scope": "openid metrics.read metrics.write",
        "resource_groups": ["*"],
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


class Issuer:
    """Keys by key id, and their JWKS on a port of its own. Use it with `with`."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {"rsa": rsa_key(), "ec": ec_key()}
        self.port = choose_port()
        self.fetches = 0
        # Of the answers: the status, a body instead of the JWKS, further headers.
        self.status = 200
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.password = ""  # of the user `user`; empty for none
        self.tls: ssl.SSLContext | None = None
        self._talking = threading.Event()
        self._talking.set()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.port}/keys"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a gateway that trusts this issuer."""
        return {
            "INGEST_AUTH": "jwt",
            "INGEST_JWT_JWKS_URL": self.url,
            "INGEST_JWT_ISSUER": ISSUER,
            "INGEST_JWT_AUDIENCE": AUDIENCE,
        }

    def jwks(self) -> bytes:
        return json.dumps(
            {"keys": [public_jwk(key, kid=key_id) for key_id, key in self.keys.items()]}
        ).encode()

    def token(self, key_id: str = "rsa", **changes: Any) -> str:
        """Sign the usual claims, with changes."""
        return signed(self.keys[key_id], usual_claims(**changes), kid=key_id)

    def behave(self) -> None:
        """Answer the JWKS again."""
        self.status, self.body, self.headers = 200, None, {}
        self._talking.set()

    def fall_silent(self) -> None:
        """Let who asks wait, until `behave`."""
        self._talking.clear()

    def open(self) -> None:
        """Listen; each time on the same port."""
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                issuer._talking.wait()
                moved = self.path.endswith("/moved")
                status = 200 if moved else issuer.status
                body = issuer.jwks() if moved or issuer.body is None else issuer.body
                credentials = base64.b64encode(f"user:{issuer.password}".encode()).decode()
                if issuer.password:
                    assert self.headers["Authorization"] == f"Basic {credentials}"
                self.send_response(status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                try:
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    return  # who asked has read enough

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, self.port), Answer)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._talking.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

"""The files with which a server of this package speaks TLS, and how its own probes trust it."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of one server. With them it listens for TLS only.

    If it `requires_clients`, it takes only clients with a certificate by the same authority; its
    own certificate must then serve as a client's, too, for the probes.
    """

    authority: Path
    certificate: Path
    key: Path
    requires_clients: bool = False

    def probe_context(self) -> ssl.SSLContext:
        """Return how a probe checks the server: by its authority, under whatever name."""
        context = ssl.create_default_context(cafile=self.authority)
        context.check_hostname = False
        context.load_cert_chain(self.certificate, self.key)
        return context

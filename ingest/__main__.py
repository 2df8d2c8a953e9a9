"""`python -m ingest`: run a gateway."""

from ingest.runtime.process import run_process
from ingest.server import Gateway
from ingest.settings import GatewaySettings

if __name__ == "__main__":
    run_process(GatewaySettings, lambda settings: Gateway(settings).run)

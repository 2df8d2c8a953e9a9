"""`make up` and `make down`: the two servers alone, in the background, outliving the command."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from deploy.local.install import install_missing
from deploy.local.lock import exclusive
from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ

LOCAL = Path(".local")
_FOLDER = LOCAL / "up"
_URLS = LOCAL / "servers.env"


def write_urls(file: Path, urls: Mapping[str, str]) -> None:
    """Write the servers' URLs, by the settings' names, for a shell to source."""
    # Quoted: a connection string may hold `&`.
    lines = [f"export {name}={shlex.quote(url)}\n" for name, url in urls.items()]
    file.write_text("".join(lines))


def up() -> int:
    """Start the servers that do not run and write their URLs, for a shell to source."""
    install_missing({})
    with exclusive(_FOLDER / "lock", wait=True):
        rabbitmq, mongodb = RabbitMQ(_FOLDER / "rabbitmq"), MongoDB(_FOLDER / "mongodb")
        servers = [server for server in (rabbitmq, mongodb) if not server.is_alive()]
        try:
            for server in servers:
                server.launch(outlive_parent=True)
            for server in servers:
                server.await_ready()
        except BaseException:
            for server in servers:
                server.kill()
            raise
        write_urls(_URLS, {"AMQP_URL": rabbitmq.url, "MONGODB_URL": mongodb.url})
    print("started in the background" if servers else "already running", "(make down stops them):")
    print(f"  RabbitMQ  {rabbitmq.url}\n  MongoDB   {mongodb.url}\n  for a shell: . {_URLS}")
    return 0


def down() -> int:
    """Stop what `up` started, in whatever process that was."""
    with exclusive(_FOLDER / "lock", wait=True):
        rabbitmq, mongodb = RabbitMQ(_FOLDER / "rabbitmq"), MongoDB(_FOLDER / "mongodb")
        running = rabbitmq.is_alive() or rabbitmq.epmd.is_alive() or mongodb.is_alive()
        rabbitmq.stop()
        mongodb.stop()
        _URLS.unlink(missing_ok=True)
    print("stopped RabbitMQ and MongoDB" if running else "nothing was running")
    return 0

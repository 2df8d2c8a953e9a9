"""The commands behind the Makefile: `python -m deploy.local run | up | down | demo | setup`."""

import argparse
import sys
from collections.abc import Callable

from deploy.local.demo import DemoError, demo
from deploy.local.install import (
    InstallError,
    install_browser,
    install_missing,
    install_promtool,
)
from deploy.local.run import RunError, run
from deploy.local.server import ServerError
from deploy.local.servers import down, up


def setup() -> int:
    """Install what is missing for the tests: servers, which they start, a browser, and promtool."""
    install_missing({})
    install_browser()
    install_promtool()
    return 0


_COMMANDS: dict[str, Callable[[], int]] = {
    "run": run,
    "up": up,
    "down": down,
    "demo": demo,
    "setup": setup,
}


def main() -> int:
    """Run one command; what is wrong is said in its own words, without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local")
    parser.add_argument("command", choices=_COMMANDS)
    arguments = parser.parse_args()
    try:
        return _COMMANDS[arguments.command]()
    except (DemoError, InstallError, RunError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

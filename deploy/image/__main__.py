"""`make image`: build the image, then check it. Needs root, as mounts and other users do."""

import os
import sys
from pathlib import Path

from deploy.image.build import Builder, ImageError
from deploy.image.check import check
from deploy.local.client import ClientError
from deploy.local.install import InstallError, install_builders
from deploy.local.server import ServerError


def main() -> int:
    """Build and check; what is wrong is said in its own words."""
    if os.geteuid() != 0:
        print("building without an engine needs root", file=sys.stderr)
        return 1
    try:
        install_builders()
        builder = Builder(Path(".local/image"))
        builder.build()
        check(builder)
    except (ClientError, ImageError, InstallError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("the image is as it must be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

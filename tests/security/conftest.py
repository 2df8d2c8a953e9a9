"""An authority that the servers of these tests have their certificates from."""

from pathlib import Path

import pytest

from tests.security.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that gateway and worker are to trust."""
    return Authority("authority", tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what a module's servers write."""
    return tmp_path_factory.mktemp("servers")

"""Every input that was once kept goes through its target again, and every law can be broken."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from ingest.contract import parse as parse_module
from ingest.contract.merge import Change
from ingest.tag_filters import TagFilter
from tests.fuzz import laws
from tests.fuzz.laws import LAWS
from tests.fuzz.seeds import KEPT, seeds
from tests.harness.client import EXAMPLE
from worker import prepare

KEPT_FILES = [path for target in LAWS for path in sorted((KEPT / target).iterdir())]
BODY = json.dumps(EXAMPLE).encode()

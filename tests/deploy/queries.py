"""The names in Prometheus' queries: of metrics, and of the labels that they ask for."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import yaml

from deploy.local.install import require_promtool

_TIMEOUT_S = 60
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[\w:])")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "on"})


def metrics_of(query: str) -> set[str]:
    """Return the names of the metrics in a query, also of those that it names by a pattern."""
    found = set()
    for matchers in _MATCHERS.findall(query):
        for pattern in re.findall(r'__name__=~?"([^"]*)"', matchers):
            found |= set(pattern.split("|"))
    bare = query
    for pattern in (_STRING, _MATCHERS, _RANGE, _GROUPING):
        bare = pattern.sub(" ", bare)
    return found | {name for name in _NAME.findall(bare) if name not in _WORDS}


def labels_of(query: str) -> set[str]:
    """Return the labels that a query selects or groups by, but for `__name__`."""
    found = set()
    for matchers in _MATCHERS.findall(query):
        found |= set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
    for grouping in _GROUPING.findall(query):
        found |= set(re.findall(r"\w+", grouping))
    return found - {"__name__"}


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    """Run promtool; what it says of an error fails the test."""
    done = subprocess.run(
        [require_promtool(), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_valid(queries: Iterable[str], folder: Path) -> None:
    """Have promtool parse queries, as if they were rules."""
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    file = folder / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)

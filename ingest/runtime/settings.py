"""Settings from the environment: parsed once, all problems reported together, then frozen.

A settings class is a frozen dataclass whose fields are made by `setting`. Only `__main__` reads
the environment. Errors and reprs never show the value of a secret.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ingest.contract.topology import MAX_UPDATES_QUEUES
from ingest.runtime.urls import UrlError, check_amqp_url, check_http_url, check_mongodb_url

T = TypeVar("T")


class SettingsError(Exception):
    """One or more settings are missing or wrong. The message has a line for each."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a setting's text becomes a value. `parse` raises ValueError if it can't."""

    text: str
    parse: Callable[[str], Any]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class When:
    """The condition under which a setting is required: another variable has this value."""

    variable: str
    value: str

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Tell whether it holds in an environment."""
        return environment.get(self.variable, "").strip() == self.value


def setting(
    variable: str,
    rule: Rule,
    default: Any = MISSING,
    *,
    about: str,
    required_when: When | None = None,
) -> Any:
    """Declare a settings field: its environment variable, its rule, its default, its purpose.

    One that is `required_when` something holds has its default only while that does not hold.
    """
    return field(
        default=default,
        repr=not rule.secret,
        metadata={
            "variable": variable,
            "rule": rule,
            "about": about,
            "required_when": required_when,
        },
    )


def load(cls: type[T], environment: Mapping[str, str]) -> T:
    """Read a settings class from an environment. An empty variable counts as missing.

    Raises:
        SettingsError: every variable that is missing or breaks its rule.
    """
    values: dict[str, Any] = {}
    problems = []
    for item in fields(cls):  # type: ignore[arg-type]  # settings classes are dataclasses
        variable, rule = item.metadata["variable"], item.metadata["rule"]
        text = environment.get(variable, "").strip()
        if not text:
            condition = item.metadata["required_when"]
            if item.default is MISSING:
                problems.append(f"{variable} is not set: it must be {rule.text}")
            elif condition is not None and condition.holds(environment):
                problems.append(
                    f"{variable} is not set: with {condition.variable}={condition.value} "
                    f"it must be {rule.text}"
                )
            continue
        try:
            values[item.name] = rule.parse(text)
        except UrlError as error:
            problems.append(f"{variable} cannot be used (its value is not shown): {error}")
        except ValueError:
            shown = "its value (not shown, it may hold a secret)" if rule.secret else repr(text)
            problems.append(f"{variable} must be {rule.text}, but is {shown[:120]}")
    if problems:
        raise SettingsError("\n".join(problems))
    return cls(**values)


def _digits(text: str, *, point: bool = False) -> str:
    """Return a text of plain digits; Python would take underscores and other scripts, too."""
    if re.fullmatch(r"[0-9]+([.][0-9]+)?" if point else r"[0-9]+", text) is None:
        raise ValueError(text)
    return text


def integer(low: int, high: int) -> Rule:
    """Accept an integer between low and high, both included."""

    def parse(text: str) -> int:
        value = int(_digits(text))
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Rule(f"an integer from {low} to {high}", parse)


def seconds(low: float, high: float) -> Rule:
    """Accept a number of seconds between low and high, both included."""

    def parse(text: str) -> float:
        value = float(_digits(text, point=True))
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Rule(f"a number of seconds from {low:g} to {high:g}", parse)


def choice(*names: str) -> Rule:
    """Accept one of some words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return Rule("one of " + ", ".join(names), parse)


def text(what: str, allowed: str, max_chars: int) -> Rule:
    """Accept a short text from a set of characters."""

    def parse(value: str) -> str:
        if len(value) > max_chars or not set(value) <= set(allowed):
            raise ValueError(value)
        return value

    return Rule(what, parse)


def url(*schemes: str, check: Callable[[str], None]) -> Rule:
    """Accept a URL with one of some schemes and a host. A secret: it may hold a password.

    The scheme must be in small letters: MongoDB's driver takes no other.

    `check` raises UrlError if something else is wrong with it.
    """

    def parse(value: str) -> str:
        parts = urlsplit(value)
        hosts = parts.netloc.rpartition("@")[2].split(",")  # MongoDB takes a list
        scheme = value.partition(":")[0]  # urlsplit's is in small letters
        if scheme not in schemes or not all(host.partition(":")[0] for host in hosts):
            raise ValueError
        check(value)
        return value

    names = " or ".join(f"{scheme}://" for scheme in schemes)
    return Rule(f"a URL that begins with {names} and names a host", parse, secret=True)


HOST_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-"
HOST = text("a host name or an IP address", HOST_CHARACTERS, 253)
PORT = integer(0, 65535)
AMQP_URL = url("amqp", "amqps", check=check_amqp_url)
MONGODB_URL = url("mongodb", "mongodb+srv", check=check_mongodb_url)
HTTP_URL = url("http", "https", check=check_http_url)
DATABASE_NAME = text(
    "a database name of letters, digits, - and _ (at most 38)",
    HOST_CHARACTERS.replace(".", "").replace(":", "") + "_",
    38,
)
YES_NO = choice("no", "yes")
LOG_LEVEL = choice("debug", "info", "warning", "error")


def _log_level() -> Any:
    about = "Logs from this level up. Refused requests are logged at info, all at debug."
    return setting("LOG_LEVEL", LOG_LEVEL, "info", about=about)


def _mongodb_url() -> Any:
    return setting("MONGODB_URL", MONGODB_URL, about="The database: a replica set.")


def _mongodb_database() -> Any:
    return setting("MONGODB_DATABASE", DATABASE_NAME, "metrics", about="The database's name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """What everything that speaks to the broker is set to, commands included."""

    amqp_url: str = setting("AMQP_URL", AMQP_URL, about="The broker.")
    log_level: str = _log_level()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """What a command is set to that speaks to the database alone."""

    log_level: str = _log_level()
    mongodb_url: str = _mongodb_url()
    mongodb_database: str = _mongodb_database()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings(BrokerSettings):
    """What gateway and worker are both set to."""

    mongodb_url: str = _mongodb_url()
    mongodb_database: str = _mongodb_database()
    update_queues: int = setting(
        "UPDATE_QUEUES",
        integer(1, MAX_UPDATES_QUEUES),
        1,
        about="Queues that updates are spread over; see Scale before you change it.",
    )
    traces_url: str = setting(
        "TRACES_URL",
        HTTP_URL,
        "",
        about="Where spans are sent (OTLP over HTTP, `…/v1/traces`); empty: no traces.",
    )

"""Settings from an environment: all problems at once, and no secret anywhere."""

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest

from ingest.runtime.settings import (
    AMQP_URL,
    DATABASE_NAME,
    HOST,
    HTTP_URL,
    LOG_LEVEL,
    MONGODB_URL,
    PORT,
    Rule,
    SettingsError,
    When,
    choice,
    integer,
    load,
    seconds,
    setting,
)
from ingest.settings import GatewaySettings
from worker.settings import WorkerSettings

SECRET = "hunter2"  # noqa: S105 - no secret, but looked for as if it were one
REQUIRED = {
    "AMQP_URL": f"amqp://user:{SECRET}@broker/",
    "MONGODB_URL": f"mongodb://user:{SECRET}@database/?replicaSet=rs",
}
GATEWAY = REQUIRED | {"INGEST_AUTH": "none"}
TOKENS = {
    "INGEST_JWT_JWKS_URL": f"https://user:{SECRET}@issuer/keys",
    "INGEST_JWT_ISSUER": "https://issuer",
    "INGEST_JWT_AUDIENCE": "metrics",
}
BOTH = pytest.mark.parametrize(
    ("cls", "required"), [(GatewaySettings, GATEWAY), (WorkerSettings, REQUIRED)]
)


@dataclass(frozen=True, slots=True)
class Example:
    url: str = setting("URL", AMQP_URL, about="A secret.")
    wait_s: float = setting("WAIT_S", seconds(0.5, 10), about="Has no default.")
    port: int = setting("PORT", PORT, 80, about="Has a default.")


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Example, environment)
    # Nothing that a traceback would show may hold a secret either.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value).splitlines()


def test_values_are_parsed_and_defaults_taken() -> None:
    example = load(Example, {"URL": "amqp://host", "WAIT_S": " 2.5 ", "OTHER": "ignored"})
    assert example == Example("amqp://host", 2.5, 80)


def test_all_problems_are_reported_together_each_with_its_variable_and_rule() -> None:
    assert problems({"PORT": "65536", "URL": "http://host"}) == [
        f"URL must be {AMQP_URL.text}, but is its value (not shown, it may hold a secret)",
        "WAIT_S is not set: it must be a number of seconds from 0.5 to 10",
        "PORT must be an integer from 0 to 65535, but is '65536'",
    ]


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_missing(empty: str) -> None:
    assert load(Example, {"URL": "amqp://h", "WAIT_S": "1", "PORT": empty}).port == 80
    assert len(problems({"URL": empty, "WAIT_S": empty})) == 2


@pytest.mark.parametrize(
    "url", ["http://user:{}@host", "amqp://user:{}@", "{}", "amqp://[{}", "amqp:user:{}@host"]
)
def test_a_secret_is_in_no_error(url: str) -> None:
    text = "\n".join(problems({"URL": url.format(SECRET), "WAIT_S": "1"}))
    assert "URL must be a URL" in text
    assert SECRET not in text


@BOTH
def test_a_secret_is_in_no_repr(cls: type[Any], required: dict[str, str]) -> None:
    settings = load(cls, required)
    assert settings.amqp_url == REQUIRED["AMQP_URL"]
    assert SECRET not in repr(settings) + str(settings)
    assert "port=" in repr(settings)


@BOTH
def test_settings_are_frozen(cls: type[Any], required: dict[str, str]) -> None:
    settings = load(cls, required)
    with pytest.raises(FrozenInstanceError):
        settings.log_level = "debug"


@BOTH
def test_what_is_required_is_named_and_every_default_keeps_its_own_rule(
    cls: type[Any], required: dict[str, str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(cls, {})
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == list(required)

    defaults = load(cls, required)
    written = {item.metadata["variable"]: str(getattr(defaults, item.name)) for item in fields(cls)}
    assert load(cls, written) == defaults


@dataclass(frozen=True, slots=True)
class Conditional:
    mode: str = setting("MODE", choice("a", "b"), about="Has no default.")
    port: int = setting("PORT", PORT, 0, about="For a.", required_when=When("MODE", "a"))


def test_a_setting_is_required_when_its_condition_holds() -> None:
    assert load(Conditional, {"MODE": "b"}) == Conditional("b", 0)
    assert load(Conditional, {"MODE": "b", "PORT": "1"}) == Conditional("b", 1)
    assert load(Conditional, {"MODE": " a ", "PORT": "1"}) == Conditional("a", 1)
    for environment in ({"MODE": "a"}, {"MODE": " a ", "PORT": " "}):
        with pytest.raises(SettingsError) as caught:
            load(Conditional, environment)
        assert str(caught.value) == f"PORT is not set: with MODE=a it must be {PORT.text}"
    with pytest.raises(SettingsError, match=r"\AMODE is not set: it must be one of a, b\Z"):
        load(Conditional, {})  # one thing after the other


def test_with_tokens_a_gateway_must_know_where_from_whom_and_for_whom() -> None:
    assert load(GatewaySettings, GATEWAY).auth == "none"
    settings = load(GatewaySettings, GATEWAY | {"INGEST_AUTH": "jwt"} | TOKENS)
    assert SECRET not in repr(settings)
    for missing in TOKENS:
        with pytest.raises(SettingsError, match=f"\\A{missing} is not set: with INGEST_AUTH=jwt "):
            load(GatewaySettings, GATEWAY | TOKENS | {"INGEST_AUTH": "jwt", missing: " "})
    with pytest.raises(SettingsError) as caught:
        load(GatewaySettings, REQUIRED | {"INGEST_AUTH": "JWT", "INGEST_JWT_LEEWAY_S": "x"})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["INGEST_JWT_WRITE_SCOPE", "INGEST_JWT_AUDIENCE"])
@pytest.mark.parametrize("value", ['a"b', "a\\b", "a b", "a\nb", "é", "a" * 257])
def test_what_www_authenticate_could_not_quote_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(GatewaySettings, GATEWAY | {name: value})


@BOTH
def test_every_setting_has_a_variable_of_its_own_and_says_what_it_is_about(
    cls: type[Any], required: dict[str, str]
) -> None:
    variables = [item.metadata["variable"] for item in fields(cls)]
    assert len(set(variables)) == len(variables)
    assert set(required) <= set(variables)
    assert all(item.metadata["about"].endswith(".") for item in fields(cls))


@pytest.mark.parametrize(
    ("rule", "accepted", "refused"),
    [
        (integer(1, 10), ["1", "10"], ["0", "11", "1.0", "x", "1e1", "9" * 5000]),
        (seconds(0.1, 10), ["0.1", "10"], ["0.09", "10.1", "nan", "inf", "-1", "1s"]),
        (LOG_LEVEL, ["debug", "info", "warning", "error"], ["DEBUG", "trace", "info,"]),
        (HOST, ["127.0.0.1", "::1", "a-b.example"], ["a b", "a/b", "a_b", "h" * 254]),
        (PORT, ["0", "65535"], ["-1", "65536"]),
        (DATABASE_NAME, ["metrics", "a_b-9", "a" * 38], ["a.b", "a b", "a/b", "$a", "a" * 39]),
        (AMQP_URL, ["amqp://h", "amqps://u:p@h:1/v"], ["amqp:h", "amqp:///v", "amqp://[x"]),
        (
            HTTP_URL,
            ["http://h", "https://u:p@h:1/k?x"],
            ["ftp://h/k", "h/k", "http://", "http://h:x"],
        ),
        (HTTP_URL, ["http://[::1]:80/"], ["file:///k", "https://h:99999/", "http://u:p@"]),
        (AMQP_URL, [], ["h", "AMQPS", "amqp://u:p@", "mongodb://h"]),
        (MONGODB_URL, ["mongodb://a,b/?w=1", "mongodb+srv://h"], ["mongodb:///x", "amqp://h"]),
    ],
    ids=lambda value: value.text[:30] if isinstance(value, Rule) else None,
)
def test_a_rule_at_its_bounds(rule: Rule, accepted: list[str], refused: list[str]) -> None:
    for text in accepted:
        assert rule.parse(text) is not None
    for text in refused:
        with pytest.raises(ValueError, match=r".*"):
            rule.parse(text)


@pytest.mark.parametrize("url", ["amqp://:5672", "amqp://user:password@:5672/"])
def test_a_url_with_a_port_but_no_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        AMQP_URL.parse(url)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", "none"),
        ("none", "none"),
        ("*", "*"),
        ("https://app.example", "https://app.example"),
        ("https://a.example , http://localhost:3000", "https://a.example,http://localhost:3000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_origins_are_as_browsers_send_them(text: str, value: str) -> None:
    assert load(GatewaySettings, GATEWAY | {"INGEST_CORS_ORIGINS": text}).cors_origins == value


@pytest.mark.parametrize(
    "text",
    [
        "app.example", "https://app.example/", "https://App.example", "https://*.example", "null",
        "*, https://app.example", "none, https://app.example", "https://a.example,", "ftp://a",
        "https://a.example https://b.example", "https://a.example\r\nX: y",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="INGEST_CORS_ORIGINS must be none, "):
        load(GatewaySettings, GATEWAY | {"INGEST_CORS_ORIGINS": text})

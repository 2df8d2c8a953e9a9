"""What is wrong with a URL is said at the start, and none of it is shown."""

import socket
import threading
from pathlib import Path

import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.runtime.database import open_client
from ingest.runtime.settings import AMQP_URL, HTTP_URL, MONGODB_URL, Rule, SettingsError, load
from ingest.runtime.urls import UrlError, check_amqp_url, check_mongodb_url, insecure_options
from ingest.settings import GatewaySettings
from tests.security.certificates import Authority

SECRET = "hunter2"  # noqa: S105 - no secret, but looked for as if it were one
ENCODE = "not percent-encoded"
OPTION = "unknown or has a wrong value"
REFUSED = "the driver refuses it: options, user or database contradict each other"
HEARTBEAT = "heartbeat must be seconds, 1 to 65534"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"amqp://u:a/{SECRET}@h/", ENCODE),
        (f"amqp://u:a@{SECRET}@h/", ENCODE),
        (f"amqp://u:a#{SECRET}@h/", ENCODE),
        (f"amqp://u:a?{SECRET}@h/", ENCODE),
        (f"amqp://u:a:{SECRET}@h/", ENCODE),
        (f"amqp://u:%zz{SECRET}@h/", ENCODE),
        (f"amqp://u:a {SECRET}@h/", "a space"),
        (f"amqp://:{SECRET}@h/", "no user"),
        (f"amqp://u:{SECRET}@a,b/", "one host only"),
        (f"amqp://u:{SECRET}@h:{SECRET}/", "a host must be a name"),
        (f"amqp://u:{SECRET}@h:65536/", "1 to 65535"),
        (f"amqp://u:{SECRET}@h:0/", "1 to 65535"),
        (f"amqp://u:{SECRET}@1::2:5672/", "in brackets"),
        ("amqps://h/?ca_certs=ca.pem", "ca_certs is unknown"),
        (f"amqps://h/?{SECRET}%20=1", "one of its options is unknown"),
        ("amqps://h/?no_verify_ssl=false", "must be 0 or 1"),
        ("amqps://h/?keyfile=key.pem", "without certfile"),
        ("amqps://h/?cafile=/nowhere/ca.pem", "cafile names cannot be used: No such file"),
        ("amqps://h/?cafile=", "cafile names cannot be used"),
        ("amqps://h/?capath=/nowhere", "no folder"),
        ("amqps://h/?cadata=%25%25", "cadata names cannot be used"),
        ("amqps://h/?certfile=/nowhere/crt.pem", "certfile names cannot be used: No such file"),
        ("amqp://h/?cafile=/nowhere/ca.pem", "begin with amqps://"),
        (f"mongodb://u:a/{SECRET}@h/", ENCODE),
        (f"mongodb://u:{SECRET}@h:x/", "a host must be a name"),
        ("mongodb://h/?tls=ture", f"tls is {OPTION}"),
        ("mongodb://h/?tls", f"tls is {OPTION}"),
        (f"mongodb://h/?tlsCaFile{SECRET}=x", OPTION),
        ("mongodb://h/?tlsCAFile=/nowhere/ca.pem", "tlsCAFile names cannot be used: No such file"),
        ("mongodb://h/?tlsInsecure=true&tlsAllowInvalidHostnames=true", "contradict each other"),
        ("mongodb+srv://h.example.com:27017/", "no port"),
        ("mongodb+srv://a.example.com,b.example.com/", "one host only"),
        # An @ behind the authority may be the one that ends a cut password.
        (f"amqp://u:a@{SECRET}/b@h/", ENCODE),
        (f"amqp://u:1/?name={SECRET}@h", ENCODE),
        (f"amqp://u:a@b?{SECRET}=1@h/", "one of its options is unknown"),
        (f"amqp://u:a@b?c&{SECRET}@h/", "one of its options is unknown"),
        (f"mongodb://u:a@{SECRET}/b@h/", ENCODE),
        (f"mongodb://u:1/?appName={SECRET}@h", ENCODE),
        (f"mongodb://u:a@b?{SECRET}@h/", f"one of its options is {OPTION}"),
        (f"mongodb://u:a@b?{SECRET}=c@h/", f"one of its options is {OPTION}"),
        ("amqp://h/?heartbeat=abc", HEARTBEAT),
        ("amqp://h/?heartbeat=10s", HEARTBEAT),
        ("amqp://h/?heartbeat=30.5", HEARTBEAT),
        ("amqp://h/?heartbeat=70000", HEARTBEAT),
        ("amqp://h/?heartbeat=65535", HEARTBEAT),
        ("amqp://h/?heartbeat=", HEARTBEAT),
        ("amqp://h/?heartbeat=-5", HEARTBEAT),
        ("amqp://h/?heartbeat=%D9%A5", HEARTBEAT),  # a digit, but of another script
        ("amqp://h/?heartbeat=0", HEARTBEAT),
        (f"amqps://h/?heartbeat={'9' * 5000}", HEARTBEAT),
        ("amqp://h/?timeout=abc", "timeout must be a whole number"),
        ("amqp://h/?timeout=", "timeout must be a whole number"),
        ("mongodb://h/?replicaSet=rs0&", "one of its options is empty"),
        ("mongodb://h/?replicaSet=rs0&&tls=true", "one of its options is empty"),
        ("mongodb://h/?;replicaSet=rs0", "one of its options is empty"),
        (f"mongodb://h/?datetime_conversion={SECRET}", f"datetime_conversion is {OPTION}"),
        (f"mongodb://{SECRET}@h/", REFUSED),
        (f"mongodb://{SECRET}:@h", REFUSED),
        (f"mongodb://u:p@h/{SECRET}$b", REFUSED),
        ("mongodb://a,b/?directConnection=true", REFUSED),
        ("mongodb+srv://h.example.com/?directConnection=true", REFUSED),
        ("mongodb://h/?srvMaxHosts=1", REFUSED),
        ("mongodb://h/?loadBalanced=true&replicaSet=rs", REFUSED),
        ("mongodb://h/?maxPoolSize=1&minPoolSize=2", REFUSED),
        ("mongodb://h/?heartbeatFrequencyMS=1", REFUSED),
        ("mongodb://h/?maxStalenessSeconds=100", REFUSED),
        ("mongodb://h/?authMechanism=PLAIN", REFUSED),
        ("mongodb://h/?fsync=true", REFUSED),  # with the product's own write concern
    ],
)
def test_what_is_wrong_is_said_without_the_url(url: str, problem: str) -> None:
    variable = "AMQP_URL" if url.startswith("amqp") else "MONGODB_URL"
    right = {"AMQP_URL": "amqp://h", "MONGODB_URL": "mongodb://h"}
    with pytest.raises(SettingsError) as caught:
        load(GatewaySettings, right | {variable: url})
    said = str(caught.value)
    assert said.startswith(f"{variable} cannot be used (its value is not shown): ")
    assert problem in said
    assert "/nowhere" not in said
    # An option's name is shown, since it is what has to be changed.
    assert SECRET not in said.replace(f"tlsCaFile{SECRET}", "")


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        (AMQP_URL, "amqp://u:%2F%40%3A%3F%23%25@h:5672/a%2Fb"),
        (AMQP_URL, "amqp://[::1]:5672/"),
        (AMQP_URL, "amqps://h/%2F?heartbeat=5&name=mine&timeout=3&auth=external"),
        (MONGODB_URL, "mongodb://u:%2F%40%3A%3F%23%25@a:1,[::1]:2,c/db?replicaSet=rs&tls=true"),
        (MONGODB_URL, "mongodb://h/?ssl=true&authSource=admin"),
        (MONGODB_URL, "mongodb://%2Ftmp%2Fmongodb.sock/"),
        (MONGODB_URL, "mongodb+srv://u:p@cluster.example.com/?retryWrites=true"),
        # What the hosts of brokers and databases give their customers.
        (AMQP_URL, "amqps://user:secret@fish-01.rmq.cloudamqp.com/user"),
        (
            AMQP_URL,
            "amqps://u:p@b-1234abcd-5678-90ab.mq.eu-west-1.amazonaws.com:5671/%2F?heartbeat=65534",
        ),
        (
            MONGODB_URL,
            (
                "mongodb+srv://u:p@cluster0.ab1cd.mongodb.net/db"
                "?retryWrites=true&w=majority&appName=Cluster0"
            ),
        ),
        (
            MONGODB_URL,
            (
                "mongodb://u:p@a-00.ab1cd.mongodb.net:27017,a-01.ab1cd.mongodb.net:27017/"
                "?ssl=true&replicaSet=atlas-x-shard-0&authSource=admin&retryWrites=true&w=majority"
            ),
        ),
        (
            MONGODB_URL,
            (
                "mongodb://acct:key==@acct.mongo.cosmos.azure.com:10255/?ssl=true&replicaSet=globaldb"
                "&retrywrites=false&maxIdleTimeMS=120000&appName=@acct@"
            ),
        ),
        (
            MONGODB_URL,
            (
                "mongodb://u:p@docdb.cluster-x.us-east-1.docdb.amazonaws.com:27017/?tls=true"
                "&replicaSet=rs0&readPreference=secondaryPreferred&retryWrites=false"
            ),
        ),
        (MONGODB_URL, "mongodb://u:p@[2001:db8::1]:27017,[2001:db8::2]:27017/?replicaSet=rs"),
        (MONGODB_URL, "mongodb://h/?authMechanism=MONGODB-X509&authSource=$external&tls=true"),
        (MONGODB_URL, "mongodb://h?w=0&journal=true"),  # the product's own write concern counts
        (MONGODB_URL, "mongodb://h/?"),
        (AMQP_URL, "amqp://u:p@h:5672/?name=a@b"),
        (AMQP_URL, "amqp://h/?name=a@b&timeout=0"),
        (HTTP_URL, "http://h/a@b"),
        (HTTP_URL, "https://u:p@h:8443/a@b?c=d@e"),
    ],
)
def test_what_is_right_is_taken_as_it_is(rule: Rule, url: str) -> None:
    assert rule.parse(url) == url


@pytest.mark.parametrize("url", ["AMQPS://h?no_verify_ssl=1", "MONGODB://h/", "Http://h/"])
def test_a_scheme_in_capitals_is_refused(url: str) -> None:
    for rule in (AMQP_URL, MONGODB_URL, HTTP_URL):
        with pytest.raises(ValueError, match=r"\A\Z"):
            rule.parse(url)


def test_a_check_asks_nothing_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(dns.resolver, "resolve", lambda *_: asked.append("dns"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: asked.append("address"))
    monkeypatch.setattr(socket, "socket", lambda *_: asked.append("socket"))
    threads = threading.active_count()
    check_mongodb_url("mongodb+srv://u:p@h.example.com/?retryWrites=true")
    check_mongodb_url("mongodb://u:p@h.example.com/?replicaSet=rs")
    check_amqp_url("amqps://u:p@h.example.com/")
    assert asked == []
    assert threading.active_count() == threads


def test_files_must_be_what_they_are_for(tmp_path: Path) -> None:
    authority = Authority("authority", tmp_path)
    one, two = authority.sign("one", "h"), authority.sign("two", "h")
    locked = authority.sign("locked", "h", password="passphrase")  # noqa: S106 - one of the test
    check_amqp_url(f"amqps://h/?cafile={authority.file}&capath={tmp_path}")
    check_amqp_url(f"amqps://h/?certfile={one.certificate}&keyfile={one.key}")
    check_mongodb_url(f"mongodb://h/?tlsCAFile={authority.file}&tlsCertificateKeyFile={one.both}")
    check_mongodb_url(  # as Amazon's DocumentDB is reached
        "mongodb://u:p@docdb.cluster-x.us-east-1.docdb.amazonaws.com:27017/?tls=true&tlsCAFile="
        f"{authority.file}&replicaSet=rs0&readPreference=secondaryPreferred&retryWrites=false"
    )
    wrong = "it is no PEM file, or the key does not fit, or is encrypted"
    for options in (
        f"cafile={one.key}",
        f"certfile={one.certificate}&keyfile={two.key}",
        f"certfile={locked.certificate}&keyfile={locked.key}",
        f"certfile={authority.file}",
    ):
        with pytest.raises(UrlError, match=wrong):
            check_amqp_url(f"amqps://h/?{options}")
    for options in (
        f"tlsCAFile={one.key}",
        f"tlsCertificateKeyFile={locked.both}",
        f"tlsCertificateKeyFile={locked.both}&tlsCertificateKeyFilePassword={SECRET}",
    ):
        with pytest.raises(UrlError, match=wrong):
            check_mongodb_url(f"mongodb://h/?{options}")
    with pytest.raises(UrlError, match="do nothing with tls=false"):
        check_mongodb_url(f"mongodb://h/?tls=false&tlsCAFile={authority.file}")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("amqp://h", []),
        ("amqps://h", []),
        ("amqps://h/?no_verify_ssl=0", []),
        ("amqps://h/?no_verify_ssl=1", ["no_verify_ssl"]),
        ("mongodb://h", []),
        ("mongodb://h/?tls=true&tlsAllowInvalidHostnames=false", []),
        ("mongodb://h/?tls=true&tlsallowinvalidhostnames=true", ["tlsAllowInvalidHostnames"]),
        ("mongodb://h/?tls=true&tlsInsecure=true", ["tlsInsecure"]),
        ("mongodb+srv://h/?tlsAllowInvalidCertificates=true", ["tlsAllowInvalidCertificates"]),
    ],
)
def test_insecure_options_are_found(url: str, options: list[str]) -> None:
    assert insecure_options(url) == options


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_for_a_password_is_taken_or_refused_without_being_shown(text: str) -> None:
    for scheme, check in (("amqps", check_amqp_url), ("mongodb", check_mongodb_url)):
        try:
            check(f"{scheme}://user:{SECRET}{text}@host/")
        except UrlError as error:
            assert SECRET not in str(error)  # noqa: PT017 - most texts are no error


async def test_the_database_client_shows_no_secret() -> None:
    client = open_client(f"mongodb://user:{SECRET}@h/?tls=true", "test", 1, 1)
    try:
        assert SECRET not in repr(client) + str(client) + repr(client["x"]) + repr(client.delegate)
    finally:
        client.close()


async def test_whether_writes_are_retried_is_for_the_url_unless_told_otherwise() -> None:
    for option, chosen, retried in (
        ("", None, True),
        ("?retryWrites=false", None, False),
        ("?retryWrites=true", False, False),
    ):
        client = open_client(f"mongodb://h/{option}", "test", 1, 1, retry_writes=chosen)
        assert client.delegate.options.retry_writes is retried
        client.close()

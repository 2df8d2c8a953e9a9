"""What is wrong with a server's URL: said at the start, and without showing any of it.

The libraries let pass what nobody means. PyMongo ignores an option that it does not know or
whose value is wrong, so `tls=ture` is a connection without TLS. aiormq takes every
`no_verify_ssl` but 0 for a yes, and a `heartbeat` that is no number for no heartbeats, and TLS
options do nothing under `amqp://`. Both ask at the terminal for the password of an encrypted key.
"""

import ipaddress
import re
import ssl
import warnings
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options
from yarl import URL

# How the product writes: what it asks of a MongoDB client whatever the URL says.
WRITE_CONCERN: Mapping[str, Any] = {"w": "majority", "journal": True}

_MAX_PORT = 65535
_MAX_HEARTBEAT_S = 65534  # aiormq takes more for no heartbeats
_HOST = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[\w.%-]+))(?::(?P<port>[0-9]+))?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OPTION_NAME = re.compile(r"\w{1,40}")
_NUMBER = re.compile(r"[0-9]{1,9}")

_AMQP_TLS_OPTIONS = ("cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl")
_AMQP_OPTIONS = (*_AMQP_TLS_OPTIONS, "auth", "heartbeat", "name", "timeout")
_MONGODB_FILES = ("tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile")
_MONGODB_INSECURE = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
# What the driver raises for a URL that it does not take.
_REFUSALS = (PyMongoError, KeyError, TypeError, ValueError)


class UrlError(ValueError):
    """A URL that cannot be used. The message says what to change and shows nothing of the URL."""


def check_amqp_url(url: str) -> None:
    """Check a URL as aiormq takes it, and that the files it names can be used.

    Raises:
        UrlError: something is wrong.
    """
    _check_authority(url, many_hosts=False, ports=True)
    try:
        address = URL(url)
    except ValueError:
        raise UrlError("it is no valid URL") from None
    options = dict(address.query)
    for name in options:
        if name not in _AMQP_OPTIONS:
            shown = _option(name, url)
            raise UrlError(f"{shown} is unknown; there are {', '.join(_AMQP_OPTIONS)}")
        if name in _AMQP_TLS_OPTIONS and address.scheme != "amqps":
            raise UrlError(f"the option {name} does nothing without TLS: begin with amqps://")
    heartbeat = options.get("heartbeat", "60")
    if not _NUMBER.fullmatch(heartbeat) or not 0 < int(heartbeat) <= _MAX_HEARTBEAT_S:
        # Without heartbeats, a connection that was lost without a reset would never be missed.
        raise UrlError(f"the option heartbeat must be seconds, 1 to {_MAX_HEARTBEAT_S}")
    if not _NUMBER.fullmatch(options.get("timeout", "60")):
        raise UrlError("the option timeout must be a whole number of seconds")
    if address.scheme == "amqps":
        _check_amqp_tls(options)


def _check_amqp_tls(options: Mapping[str, str]) -> None:
    if options.get("no_verify_ssl", "0") not in {"0", "1"}:
        raise UrlError("the option no_verify_ssl must be 0 or 1")
    if "keyfile" in options and "certfile" not in options:
        raise UrlError("the option keyfile does nothing without certfile")
    if "cafile" in options:
        _try_authorities("cafile", cafile=options["cafile"])
    if "cadata" in options:
        with _files("cadata"):
            _try_authorities("cadata", cadata=b64decode(options["cadata"]))
    if "capath" in options and not Path(options["capath"]).is_dir():
        raise UrlError("what capath names is no folder")
    if "certfile" in options:
        _try_certificate("certfile", options["certfile"], options.get("keyfile"))


def check_http_url(url: str) -> None:
    """Check the URL of a web page.

    Raises:
        UrlError: something is wrong.
    """
    _check_authority(url, many_hosts=False, ports=True)


def check_mongodb_url(url: str) -> None:
    """Check a URL as PyMongo takes it, and that the files it names can be used.

    A `mongodb+srv` URL is resolved only when it is used, its records are not looked at here.

    Raises:
        UrlError: something is wrong.
    """
    srv = url.startswith("mongodb+srv:")
    _check_authority(url, many_hosts=not srv, ports=not srv)
    query = url.partition("?")[2]
    for pair in re.split("[&;]", query) if query else ():
        if not pair:
            raise UrlError("one of its options is empty: it has an & or a ; too many")
        name = _option(pair.partition("=")[0], url)
        _mongodb_options(pair, name, "is unknown or has a wrong value")
    options = _mongodb_options(query, "some of its options", "contradict each other")
    tls = options.get("tls", options.get("ssl"))
    if tls is False and any(name in options for name in _MONGODB_FILES):
        raise UrlError("its TLS options do nothing with tls=false: use tls=true")
    for name in ("tlsCAFile", "tlsCRLFile"):
        if name in options:
            _try_authorities(name, cafile=options[name])
    if (name := "tlsCertificateKeyFile") in options:
        _try_certificate(name, options[name], None, options.get("tlsCertificateKeyFilePassword"))
    _try_client(url)


def insecure_options(url: str) -> list[str]:
    """Return the options of a checked URL by which anyone may pose as the server."""
    if url.startswith("amqps:"):
        return ["no_verify_ssl"] if URL(url).query.get("no_verify_ssl", "0") != "0" else []
    if not url.startswith("mongodb"):
        return []
    options = _mongodb_options(url.partition("?")[2], "its options", "cannot be read")
    if options.get("tlsInsecure"):
        return ["tlsInsecure"]  # the driver adds the two others by itself
    return [name for name in _MONGODB_INSECURE if options.get(name)]


def _check_authority(url: str, *, many_hosts: bool, ports: bool) -> None:
    """Check user, password, hosts and ports, and that none of them was cut by its own characters.

    Else a password with a slash would end up as a host or a port, and so in the logs.
    """
    if any(character.isspace() or not character.isprintable() for character in url):
        raise UrlError("it holds a space or a control character: percent-encode it")
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    after = rest[len(authority) :]
    userinfo, at, hosts = authority.rpartition("@")
    if (
        _cut(url, authority, after)
        or "#" in after
        or "@" in userinfo
        or userinfo.count(":") > 1
        or _BAD_PERCENT.search(userinfo)
    ):
        raise UrlError(
            "characters of the user or the password are not percent-encoded "
            "(% is %25, / is %2F, : is %3A, ? is %3F, # is %23, @ is %40)"
        )
    if at and not userinfo.partition(":")[0]:
        raise UrlError("it has a password, or an @, but no user")
    if "," in hosts and not many_hosts:
        raise UrlError("it must name one host only")
    for host in hosts.split(","):
        _check_host(host, port=ports)


def _cut(url: str, authority: str, after: str) -> bool:
    """Tell whether an @ behind the authority is the one that ends a password.

    An @ may well be part of an option (Azure's URLs end in `appName=@name@`) or of a page's path.
    What is left of a cut password is `user:` without an @, or has its @ in what is no path.
    """
    path = after.partition("?")[0]
    return ("@" in path and not url.startswith("http")) or (
        "@" in after and ":" in authority and "@" not in authority
    )


def _check_host(host: str, *, port: bool) -> None:
    match = _HOST.fullmatch(host)
    if match is None:
        raise UrlError(
            "a host must be a name or an address, followed by a port if any; "
            "an IPv6 address stands in brackets: [::1]:5672"
        )
    if match["ipv6"] is not None:
        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            raise UrlError("what stands in brackets is no IPv6 address") from None
    if match["port"] is None:
        return
    if not port:
        raise UrlError("it must name no port: the DNS records do")
    if not 0 < int(match["port"][:6]) <= _MAX_PORT:
        raise UrlError(f"a port must be a number from 1 to {_MAX_PORT}")


def _option(name: str, url: str) -> str:
    # What looks like no name may be the rest of a password, as may all in front of a late @.
    if _OPTION_NAME.fullmatch(name) and "@" not in url.partition("?")[2]:
        return f"the option {name}"
    return "one of its options"


def _mongodb_options(query: str, what: str, problem: str) -> Mapping[str, Any]:
    """Return options as the driver reads them, names in any case."""
    if not query:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the driver gives the same ones when it is used
        try:
            return split_options(query, normalize=False)
        except OSError as error:
            raise UrlError(f"what {what} names cannot be used: {_reason(error)}") from None
        except _REFUSALS:
            raise UrlError(f"{what} {problem}") from None


def _try_client(url: str) -> None:
    """Make a client as the product does; it connects to nothing and resolves nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        try:
            MongoClient[dict[str, Any]](url, connect=False, **WRITE_CONCERN).close()
        except _REFUSALS:  # the driver's text may hold parts of the URL
            raise UrlError(
                "the driver refuses it: options, user or database contradict each other"
            ) from None


def _try_authorities(option: str, **locations: str | bytes) -> None:
    with _files(option):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**locations)


def _try_certificate(
    option: str, certificate: str, key: str | None, password: str | None = None
) -> None:
    with _files(option):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            certificate, key, password=_given(password or "")
        )


def _given(password: str) -> Callable[[], str]:
    """Return what OpenSSL asks for a password: without it, it would ask at the terminal."""
    return lambda: password


@contextmanager
def _files(option: str) -> Iterator[None]:
    try:
        yield
    except UrlError:
        raise
    except (OSError, ValueError) as error:
        raise UrlError(f"what {option} names cannot be used: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Say what is wrong with a file; the name of the file is a part of the URL."""
    if isinstance(error, ssl.SSLError):
        return "it is no PEM file, or the key does not fit, or is encrypted"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it cannot be decoded"

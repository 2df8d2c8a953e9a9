"""What must hold of the pods that our own objects make, and of those that operators make."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from ingest.runtime.process import _DRAIN_MARGIN_S
from ingest.runtime.settings import DatabaseSettings, SettingsError, load
from ingest.settings import GatewaySettings
from tests.deploy.objects import Object, Pod, named, operators_templates, pods, title, walk
from worker.settings import WorkerSettings

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|[MGTPE]|[KMGTPE]i)?")
_BYTES = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_MIB = 1024 * 1024
_LEAST_GRACE_MARGIN_S = 3
_LARGEST_MESSAGE_BYTES = 16 * _MIB  # RabbitMQ's own limit by default
# What the image's entry point is given, and the settings that the process it starts reads.
SETTINGS: Mapping[tuple[str, ...], type] = {
    ("ingest",): GatewaySettings,
    ("worker",): WorkerSettings,
    ("worker", "compact"): DatabaseSettings,
}
# What stands for a secret's value: of the shape that its maker gives it.
_SECRET_VALUES = {
    "AMQP_URL": "amqp://gateway:Zm9vYmFy-_@metrics-rabbitmq:5672/",
    "MONGODB_URL": (
        "mongodb+srv://gateway:Zm9vYmFy@metrics-mongodb-svc.metric-ingest.svc.cluster.local/admin"
        "?replicaSet=metrics-mongodb&ssl=false"
    ),
}
# And for any other secret's.
UNKNOWN = "c2VjcmV0"
_INTERPOLATED = re.compile(r"\$\(([A-Za-z0-9_]+)\)")


def quantity_problems(objects: Iterable[Object]) -> Iterator[str]:
    """A malformed quantity passes the schemas, in which it is a text or a number."""
    for one in objects:
        for path, value in walk(one):
            parent, _, last = path.rpartition("/")
            is_quantity = parent.endswith(("/requests", "/limits")) or last in {
                "sizeLimit",
                "storage",
            }
            if is_quantity and _QUANTITY.fullmatch(str(value)) is None:
                yield f"{title(one)}: {path} is no quantity: {value}"


def restriction_problems(objects: list[Object]) -> Iterator[str]:
    """What the pod security standard `restricted` asks for, and a little more of our own pods."""
    for namespace in (one for one in objects if one["kind"] == "Namespace"):
        if (
            namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
            != "restricted"
        ):
            yield f"{title(namespace)}: does not enforce the standard"
    for pod in pods(objects):
        yield from _restrictions(pod.title, pod.spec)
        yield from _confinement(pod)
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.title}: has a token of its service account"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.title}: services add variables to its environment"
        if {"name": "tmp", "mountPath": "/tmp"} not in pod.container.get("volumeMounts", ()):  # noqa: S108 - its path
            yield f"{pod.title}: has no /tmp"
    for name, spec in operators_templates(objects).items():
        yield from _restrictions(name, spec)


def _confinement(pod: Pod) -> Iterator[str]:
    for container in _containers(pod.spec):
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            yield f"{pod.title}: {container['name']} may write to its root file system"
        resources = container.get("resources", {})
        limits, requests = resources.get("limits", {}), resources.get("requests", {})
        if limits.keys() != {"memory"} or requests.keys() != {"cpu", "memory"}:
            yield f"{pod.title}: {container['name']}: a memory limit, a CPU request, no more"


def _containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def _restrictions(name: str, spec: Object) -> Iterator[str]:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    context = spec.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("runAsUser", 1) == 0:
        yield f"{name}: may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{name}: has no seccomp profile"
    if any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{name}: shares a namespace with its host"
    for volume in spec.get("volumes", ()):
        kinds = volume.keys() - {"name"}
        if not kinds <= {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim"}:
            yield f"{name}: has a volume of a kind that is not allowed: {kinds}"
    for container in _containers(spec):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: {container['name']} may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name}: {container['name']} keeps capabilities"
        if own.keys() & {"privileged", "runAsUser", "procMount"}:
            yield f"{name}: {container['name']} asks for more than its pod has"


def grace_problems(objects: list[Object]) -> Iterator[str]:
    """A pod's grace period must hold its preStop, its drain and the end of the process."""
    for pod in pods(objects):
        pre_stop = pod.container.get("lifecycle", {}).get("preStop", {})
        pre_stop_s = pre_stop.get("sleep", {}).get("seconds", 0)
        if pre_stop and not pre_stop_s:
            yield f"{pod.title}: the image has no programs: preStop must be a sleep"
        if pod.port("http") and not 5 <= pre_stop_s <= 10:
            yield f"{pod.title}: must wait 5 to 10 s for its endpoints to be removed"
        try:
            drain_s = getattr(settings_of(pod, objects), "drain_timeout_s", 0)
        except SettingsError:
            continue
        least = pre_stop_s + drain_s + _DRAIN_MARGIN_S + _LEAST_GRACE_MARGIN_S
        grace_s = pod.spec["terminationGracePeriodSeconds"]
        if grace_s < least:
            yield f"{pod.title}: its grace period of {grace_s} s is shorter than {least:g} s"


def environment_of(pod: Pod, objects: list[Object]) -> dict[str, str]:
    """Return a container's environment, with a value of the right shape for each secret."""
    environment: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        config = named(objects, "ConfigMap", source["configMapRef"]["name"])
        environment |= config["data"]
    for variable in pod.container.get("env", ()):
        if "valueFrom" in variable:
            value = _SECRET_VALUES.get(variable["name"], UNKNOWN)
        else:
            # As Kubernetes does it: by what stands before, and what is unknown stays as it is.
            known = dict(environment)
            value = _INTERPOLATED.sub(
                lambda found, known=known: known.get(found[1], found[0]),  # type: ignore[misc]
                variable["value"],
            )
        environment[variable["name"]] = value
    return environment


def settings_of(pod: Pod, objects: list[Object]) -> Any:
    """Return the settings that a pod's process will have.

    Raises:
        SettingsError: it will not start.
    """
    return load(SETTINGS[tuple(pod.container["args"])], environment_of(pod, objects))


def settings_problems(objects: list[Object]) -> Iterator[str]:
    """Names that a process does not read, values that it does not take, ports it does not have."""
    databases = set()
    for pod in pods(objects):
        arguments = tuple(pod.container["args"])
        if arguments not in SETTINGS:
            yield f"{pod.title}: there is no such command: {arguments}"
            continue
        yield from _variable_problems(pod, objects, SETTINGS[arguments])
        try:
            settings = settings_of(pod, objects)
        except SettingsError as error:
            yield f"{pod.title}: {error}"
            continue
        databases.add(settings.mongodb_database)
        yield from _listening_problems(pod, settings)
        bound = memory_bound_bytes(settings)
        limit = bytes_of(pod.container["resources"]["limits"]["memory"])
        if limit < bound:
            yield f"{pod.title}: may need {bound // _MIB} MiB, but has {limit // _MIB} MiB"
    for database in (one for one in objects if one["kind"] == "MongoDBCommunity"):
        for user in database["spec"]["users"]:
            if databases != {role["db"] for role in user["roles"]}:
                yield f"{title(database)}: {user['name']} has no rights in {databases}"


def _variable_problems(pod: Pod, objects: list[Object], settings: type) -> Iterator[str]:
    known = {field.metadata["variable"] for field in fields(settings)}
    parts = {
        name
        for variable in pod.container.get("env", ())
        for name in _INTERPOLATED.findall(variable.get("value", ""))
    }
    environment = environment_of(pod, objects)
    for name in environment.keys() - known - parts:
        yield f"{pod.title}: nobody reads {name}"
    if any("$(" in value for value in environment.values()):
        yield f"{pod.title}: a variable is used before it is set"


def _listening_problems(pod: Pod, settings: Any) -> Iterator[str]:
    for port, attribute in (("http", "port"), ("operations", "ops_port")):
        number = pod.port(port)
        if number is None:
            continue
        if number != getattr(settings, attribute):
            yield f"{pod.title}: the port {port} is {number}, but nobody listens there"
        if _host(settings) not in {"0.0.0.0", "::"}:  # noqa: S104 - nobody else shares its address
            yield f"{pod.title}: listens on {_host(settings)} only"


def _host(settings: Any) -> str:
    host: str = settings.host if isinstance(settings, GatewaySettings) else settings.ops_host
    return host


def memory_bound_bytes(settings: Any) -> int:
    """Return what a process may need at most, by the README's formulas."""
    if isinstance(settings, GatewaySettings):
        return (
            128 * _MIB
            + 2 * settings.max_receiving_bytes
            + 8 * settings.max_pending_bytes
            + 10 * settings.max_body_bytes
            + 10 * settings.max_reading_bytes
            + 16 * 1024 * settings.max_connections
        )
    if isinstance(settings, WorkerSettings):
        return (
            128 * _MIB
            + max(settings.prefetch_messages, settings.update_queues) * _LARGEST_MESSAGE_BYTES
            + 6 * settings.batches_in_flight * (settings.max_batch_bytes + _LARGEST_MESSAGE_BYTES)
        )
    return 128 * _MIB


def bytes_of(quantity: str) -> int:
    """Return what a quantity with a binary unit says."""
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * _BYTES[unit]


_PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def probe_problems(objects: list[Object]) -> Iterator[str]:
    """A probe must ask the operations port; liveness nothing that depends on a server."""
    for pod in pods(objects):
        if pod.owner["kind"] != "Deployment":
            continue
        for probe, path in _PROBES.items():
            asked = pod.container.get(probe, {}).get("httpGet")
            if asked is None:
                yield f"{pod.title}: has no {probe}"
            elif asked["path"] != path:
                yield f"{pod.title}: {probe} asks {asked['path']}"
            elif asked["port"] != "operations" or pod.port("operations") is None:
                yield f"{pod.title}: {probe} asks a port that does not answer: {asked['port']}"


def image_problems(objects: list[Object]) -> Iterator[str]:
    """One image for all, of a version that does not change."""
    images = {pod.container["image"] for pod in pods(objects)}
    if len(images) != 1:
        yield f"there are several images: {images}"
    for image in images:
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            yield f"the image {image} is not of one version"

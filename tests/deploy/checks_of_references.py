"""What must hold between objects: what one names must be there, and be what it is taken for."""

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from ingest.contract.topology import (
    DEAD_LETTER_QUEUE,
    EXCHANGES,
    MAX_UPDATES_QUEUES,
    updates_queues,
)
from ingest.runtime.settings import SettingsError
from tests.deploy.checks_of_pods import bytes_of, settings_of
from tests.deploy.objects import (
    Object,
    matches,
    name_of,
    of_kind,
    operators_pods,
    pods,
    title,
    walk,
)

_CONNECTION_KEYS = ("connectionString.standard", "connectionString.standardSrv")
Secret = tuple[str, str]
# However many a setting asks for: the manifests are ready for all of them.
_UPDATES = {queue.name for queue in updates_queues(MAX_UPDATES_QUEUES)}
_OTHERS = {"metrics.update", "metrics.updates.x", "metrics.updates.1.old", "xmetrics.updates"}


def identity_problems(objects: list[Object]) -> Iterator[str]:
    """Two objects with one name overwrite each other; one in another namespace is out of reach."""
    for name, number in Counter(title(one) for one in objects).items():
        if number > 1:
            yield f"{name} is there {number} times"
    (namespace,) = (name_of(one) for one in of_kind(objects, "Namespace"))
    for one in objects:
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != namespace:
            yield f"{title(one)}: is not in the namespace {namespace}"


def _all_labels(objects: list[Object]) -> dict[str, dict[str, str]]:
    own = {pod.title: dict(pod.labels) for pod in pods(objects)}
    return own | operators_pods(objects)


def _selected(selector: Object, objects: list[Object]) -> list[str]:
    return [name for name, labels in _all_labels(objects).items() if matches(selector, labels)]


def selector_problems(objects: list[Object]) -> Iterator[str]:
    """A selector that selects nothing, or something else, is no error for the API server."""
    for pod in pods(objects):
        selector = pod.owner["spec"].get("selector")
        if selector is not None and not matches(selector, pod.labels):
            yield f"{pod.title}: its selector does not match its pods"
        spreads = pod.spec.get("topologySpreadConstraints", ())
        for spread in spreads:
            if not matches(spread["labelSelector"], pod.labels):
                yield f"{pod.title}: its spread counts other pods"
            if spread.get("matchLabelKeys") != ["pod-template-hash"]:
                yield f"{pod.title}: its spread counts the pods of a release before, too"
        zones = [one for one in spreads if one["topologyKey"] == "topology.kubernetes.io/zone"]
        if pod.owner["kind"] == "Deployment" and not zones:
            yield f"{pod.title}: is not spread over zones"
    for one in of_kind(objects, "Service", "PodDisruptionBudget", "PodMonitor"):
        selector = one["spec"]["selector"]
        if one["kind"] == "Service":
            selector = {"matchLabels": selector}
        selected = _selected(selector, objects)
        others = [name for name in selected if not name.endswith(f" {name_of(one)}")]
        # Scraping pods that are not there (a broker elsewhere) does no harm.
        if others or (not selected and one["kind"] != "PodMonitor"):
            yield f"{title(one)}: selects other pods than those of its name: {selected}"


def budget_problems(objects: list[Object]) -> Iterator[str]:
    """Everything that has several pods has a disruption budget, and ours hold up no drain."""
    budgets = {name_of(one): one["spec"] for one in of_kind(objects, "PodDisruptionBudget")}
    for one in of_kind(objects, "Deployment", "RabbitmqCluster", "MongoDBCommunity"):
        budget = budgets.get(name_of(one))
        if budget is None:
            yield f"{title(one)}: has no disruption budget"
        elif (
            one["kind"] == "Deployment"
            and budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow"
        ):
            yield f"{title(one)}: pods that are not ready hold up a node's drain"


def port_problems(objects: list[Object]) -> Iterator[str]:
    """A port is named where it is used; a name that no container has leads nowhere."""
    by_title = {pod.title: pod for pod in pods(objects)}
    for one in of_kind(objects, "Service"):
        for name in _selected({"matchLabels": one["spec"]["selector"]}, objects):
            for port in one["spec"]["ports"]:
                if by_title[name].port(port["targetPort"]) is None:
                    yield f"{title(one)}: {name} has no port {port['targetPort']}"
    for one in of_kind(objects, "PodMonitor"):
        for name in _selected(one["spec"]["selector"], objects):
            for endpoint in one["spec"]["podMetricsEndpoints"]:
                if name in by_title and by_title[name].port(endpoint["port"]) is None:
                    yield f"{title(one)}: {name} has no port {endpoint['port']}"


def secrets_made_by_operators(objects: list[Object]) -> set[Secret]:
    """Return the secrets, by name and key, that operators make from the objects."""
    made = set()
    for one in objects:
        if one["kind"] == "User":
            made |= {(f"{name_of(one)}-user-credentials", key) for key in ("username", "password")}
        if one["kind"] == "MongoDBCommunity":
            for user in one["spec"]["users"]:
                name = f"{name_of(one)}-{user['db']}-{user['name']}"
                made |= {(name, key) for key in _CONNECTION_KEYS}
    return made


def secrets_used(objects: list[Object]) -> set[Secret]:
    """Return every secret, by name and key, that an object refers to."""
    used = set()
    for one in objects:
        for path, value in walk(one):
            last = path.rpartition("/")[2]
            if last == "secretKeyRef":
                used.add((value["name"], value["key"]))
            elif last == "passwordSecretRef":
                used.add((value["name"], value.get("key", "password")))
            elif one["kind"] == "TriggerAuthentication" and last == "secretTargetRef":
                used |= {(item["name"], item["key"]) for item in value}
    return used


# By the last key of a reference's path: the kind of what it names.
_REFERENCES = {
    "authenticationRef": "TriggerAuthentication",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "rabbitmqClusterReference": "RabbitmqCluster",
    "scaleTargetRef": "Deployment",
    "serviceAccountName": "ServiceAccount",
    "userReference": "User",
}


def reference_problems(objects: list[Object]) -> Iterator[str]:
    """What is referred to must be there, and what is there must be used."""
    there = {(one["kind"], name_of(one)) for one in objects}
    used = set()
    for one in objects:
        if one["kind"] == "Secret":
            yield f"{title(one)}: secrets are referred to, never written down"
        for path, value in walk(one):
            kind = _REFERENCES.get(path.rpartition("/")[2])
            if kind is not None:
                reference = kind, value if isinstance(value, str) else value["name"]
                used.add(reference)
                if reference not in there:
                    yield f"{title(one)}: there is no {' '.join(reference)}"
    for one in of_kind(objects, "ConfigMap", "ServiceAccount", "TriggerAuthentication"):
        for_a_sidecar = "grafana_dashboard" in one["metadata"].get("labels", {})
        if (one["kind"], name_of(one)) not in used and not for_a_sidecar:
            yield f"{title(one)}: nobody uses it"


def scaling_problems(objects: list[Object]) -> Iterator[str]:
    """One owner of the number of replicas; and the scaler must ask the right queue."""
    scalers = of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    targets = {one["spec"]["scaleTargetRef"]["name"] for one in scalers}
    for one in of_kind(objects, "Deployment"):
        if name_of(one) in targets and "replicas" in one["spec"]:
            yield f"{title(one)}: its replicas belong to an autoscaler"
    for one in scalers:
        spec = one["spec"]
        least = spec.get("minReplicas", spec.get("minReplicaCount", 0))
        most = spec.get("maxReplicas", spec.get("maxReplicaCount", 0))
        if not 2 <= least < most:
            yield f"{title(one)}: there must be two at least, and room: {least} to {most}"
    for one in of_kind(objects, "ScaledObject"):
        yield from _scaler_problems(one, objects)


def _scaler_problems(scaler: Object, objects: list[Object]) -> Iterator[str]:
    name = title(scaler)
    (trigger,) = scaler["spec"]["triggers"]
    asked = trigger["metadata"]
    host = urlsplit(asked["host"])
    namespace = scaler["metadata"]["namespace"]
    if asked["protocol"] != "http" or host.scheme != "http" or host.path != "/":
        yield f"{name}: over amqp, or without the slash, it does not count what workers hold"
    if host.username or host.password:
        yield f"{name}: a password stands in the address"
    if host.hostname and host.hostname.split(".")[1:] != [namespace, "svc"]:
        yield f"{name}: asks a broker outside of {namespace}"
    clusters = {name_of(one) for one in of_kind(objects, "RabbitmqCluster")}
    if clusters and host.hostname and host.hostname.split(".")[0] not in clusters:
        yield f"{name}: there is no broker {host.hostname}"
    if asked.get("useRegex") != "true" or _matched(asked["queueName"]) != _UPDATES:
        yield f"{name}: does not count the queues of updates: {asked['queueName']}"
    if asked.get("operation") != "sum" or int(asked.get("pageSize", 0)) < MAX_UPDATES_QUEUES:
        yield f"{name}: does not count all queues together"
    (worker,) = (pod for pod in pods(objects) if pod.title == "Deployment worker")
    prefetch = settings_of(worker, objects).prefetch_messages
    if int(asked["value"]) <= prefetch:
        yield f"{name}: a worker's own prefetch of {prefetch} messages would call for a further one"
    fallback = scaler["spec"].get("fallback", {}).get("replicas", 0)
    if not scaler["spec"]["minReplicaCount"] <= fallback <= scaler["spec"]["maxReplicaCount"]:
        yield f"{name}: without an answer it goes to {fallback}"


def alert_problems(objects: list[Object]) -> Iterator[str]:
    """An alert that asks whether something is missing must ask about this namespace."""
    for one in of_kind(objects, "PrometheusRule"):
        for group in one["spec"]["groups"]:
            for rule in group["rules"]:
                wanted = f'{{namespace="{one["metadata"]["namespace"]}"}})'
                for asked in re.findall(r"absent\([^)]*\)", rule["expr"]):
                    if not asked.endswith(wanted):
                        yield f"{title(one)}: {rule['alert']} is not about this namespace"


def broker_problems(objects: list[Object]) -> Iterator[str]:
    """Users have the rights they need and no others; a policy is for the queues that there are."""
    permissions = {p["spec"]["userReference"]["name"]: p for p in of_kind(objects, "Permission")}
    for user in of_kind(objects, "User"):
        if name_of(user) not in permissions:
            yield f"{title(user)}: may not even see the virtual host"
            continue
        if "administrator" in user["spec"].get("tags", ()):
            yield f"{title(user)}: is an administrator"
        if name_of(user) in {"gateway", "worker"}:
            for right, pattern in permissions[name_of(user)]["spec"]["permissions"].items():
                if _matched(pattern) != _ALL_NAMES:
                    yield f"{title(user)}: may {right} too little or too much: {pattern}"
    for one in of_kind(objects, "Policy"):
        pattern = one["spec"]["pattern"]
        if _matched(pattern) != _UPDATES:
            yield f"{title(one)}: is not for the queues of updates: {pattern}"
    yield from _queue_problems(objects)


_ALL_NAMES = _UPDATES | {DEAD_LETTER_QUEUE.name} | {exchange.name for exchange in EXCHANGES}


def _matched(pattern: str) -> set[str]:
    """Return the names that a pattern matches as RabbitMQ does it: anywhere, unless anchored."""
    return {name for name in _ALL_NAMES | _OTHERS if re.search(pattern, name)}


def _queue_problems(objects: list[Object]) -> Iterator[str]:
    """Gateways and workers have the same queues, and the brokers' disks twice what these hold."""
    numbers: set[int] = set()
    for pod in pods(objects):
        try:
            settings = settings_of(pod, objects)
        except SettingsError:  # for settings_problems to say
            continue
        if isinstance(number := getattr(settings, "update_queues", None), int):
            numbers.add(number)
    if len(numbers) > 1:
        yield f"gateways and workers have different numbers of queues: {numbers}"
    for cluster in of_kind(objects, "RabbitmqCluster"):
        storage_bytes = bytes_of(cluster["spec"]["persistence"]["storage"])
        for policy in of_kind(objects, "Policy"):
            limit_bytes = policy["spec"]["definition"]["max-length-bytes"]
            if 2 * max(numbers, default=1) * limit_bytes > storage_bytes:
                yield f"{title(cluster)}: its disks are too small for the limit of all queues"

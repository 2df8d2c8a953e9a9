"""Who reaches whom, worked out from the rendered policies by the rules of their kind.

A connection passes if the egress policies that select its source allow it, and the ingress policies
that select its target do; a pod that no policy of a direction selects is open in that direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.deploy.objects import Object, matches, of_kind, overlay

NAMESPACE = "metric-ingest"


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, ours or another's, or with no labels at all an address outside of the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE

    @property
    def namespace_labels(self) -> dict[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace}


def named(name: str) -> Peer:
    return Peer({"app.kubernetes.io/name": name})


GATEWAY, WORKER, COMPACTION = named("gateway"), named("worker"), named("compaction")
BROKER = named("metrics-rabbitmq")
DATABASE = Peer({"app": "metrics-mongodb-svc"})
NEIGHBOUR = Peer({"app": "neighbour"})
INGRESS = Peer({"app": "ingress"}, "ingress-nginx")
PROMETHEUS = Peer({"app": "prometheus"}, "monitoring")
KEDA = Peer({"app": "keda-operator"}, "keda")
TOPOLOGY = Peer({"app": "topology"}, "rabbitmq-system")
STRANGER = Peer({"app": "stranger"}, "default")
DNS = Peer({"k8s-app": "kube-dns"}, "kube-system")
OUTSIDE = Peer({}, "")

ALLOWED = [
    *((one, DNS, 53) for one in (GATEWAY, WORKER, COMPACTION, BROKER, DATABASE)),
    (INGRESS, GATEWAY, 8080),
    (PROMETHEUS, GATEWAY, 8081),
    (PROMETHEUS, WORKER, 8082),
    (PROMETHEUS, BROKER, 15692),
    (GATEWAY, BROKER, 5672),
    (GATEWAY, DATABASE, 27017),
    (GATEWAY, OUTSIDE, 443),
    (WORKER, BROKER, 5672),
    (WORKER, DATABASE, 27017),
    (COMPACTION, DATABASE, 27017),
    (KEDA, BROKER, 15672),
    (TOPOLOGY, BROKER, 15672),
    *((BROKER, BROKER, port) for port in (4369, 25672, 35672, 35682)),
    (DATABASE, DATABASE, 27017),
    (DATABASE, OUTSIDE, 443),
]
DENIED = [
    (STRANGER, GATEWAY, 8080),
    (STRANGER, BROKER, 5672),
    (STRANGER, DATABASE, 27017),
    (INGRESS, GATEWAY, 8081),
    (INGRESS, DATABASE, 27017),
    (NEIGHBOUR, GATEWAY, 8081),
    (NEIGHBOUR, DATABASE, 27017),
    (NEIGHBOUR, BROKER, 5672),
    (GATEWAY, WORKER, 8082),
    (GATEWAY, BROKER, 15672),
    (GATEWAY, BROKER, 4369),
    (GATEWAY, OUTSIDE, 80),
    (WORKER, BROKER, 25672),
    (WORKER, OUTSIDE, 443),
    (COMPACTION, BROKER, 5672),
    (KEDA, BROKER, 5672),
    (PROMETHEUS, GATEWAY, 8080),
    (PROMETHEUS, DATABASE, 27017),
    (BROKER, DATABASE, 27017),
    (BROKER, BROKER, 35683),
    (DATABASE, OUTSIDE, 80),
]


def _port_allowed(rule: Object, port: int) -> bool:
    if "ports" not in rule:
        return True
    return any(one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"])


def _peer_allowed(peers: list[Any] | None, peer: Peer) -> bool:
    if peers is None:
        return True
    for one in peers:
        if "ipBlock" in one:
            # Where pods' addresses are is the cluster's business: only what is outside counts.
            if peer is OUTSIDE:
                return True
            continue
        if peer is OUTSIDE:
            continue
        namespace = one.get("namespaceSelector")
        in_namespace = (
            peer.namespace == NAMESPACE
            if namespace is None
            else matches(namespace, peer.namespace_labels)
        )
        if in_namespace and matches(one.get("podSelector", {}), peer.labels):
            return True
    return False


def passes(policies: list[Object], source: Peer, target: Peer, port: int) -> bool:
    for pod, peer, direction, peers in (
        (source, target, "egress", "to"),
        (target, source, "ingress", "from"),
    ):
        if pod.namespace != NAMESPACE:
            continue  # its own namespace's business
        selecting = [
            one["spec"]
            for one in policies
            if direction.capitalize() in one["spec"]["policyTypes"]
            and matches(one["spec"]["podSelector"], pod.labels)
        ]
        if selecting and not any(
            _port_allowed(rule, port) and _peer_allowed(rule.get(peers), peer)
            for spec in selecting
            for rule in spec.get(direction, ())
        ):
            return False
    return True


def title(flow: tuple[Peer, Peer, int]) -> str:
    return (
        " to ".join("/".join(one.labels.values()) or "outside" for one in flow[:2]) + f":{flow[2]}"
    )


@pytest.mark.parametrize("flow", ALLOWED, ids=title)
def test_what_is_needed_passes(flow: tuple[Peer, Peer, int]) -> None:
    assert passes(of_kind(overlay("production"), "NetworkPolicy"), *flow)


@pytest.mark.parametrize("flow", DENIED, ids=title)
def test_nothing_else_passes(flow: tuple[Peer, Peer, int]) -> None:
    assert not passes(of_kind(overlay("production"), "NetworkPolicy"), *flow)


def test_every_pod_in_the_namespace_is_denied_by_default() -> None:
    (default,) = (
        one["spec"]
        for one in of_kind(overlay("production"), "NetworkPolicy")
        if one["spec"]["podSelector"] == {} and one["spec"]["policyTypes"] == ["Ingress", "Egress"]
    )
    assert default.keys() == {"podSelector", "policyTypes"}

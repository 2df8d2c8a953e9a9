"""Schemas for every kind of object; one that has none is a problem.

Kubernetes' own kinds: kubernetes-validate, which holds the API server's schemas. KEDA's and the
Prometheus Operator's: made from the models that packages have of them, which by themselves would
pass over unknown fields. The others' operators have no such package: the fields we use, by hand.
"""

import functools
from collections.abc import Iterable
from typing import Any

import cloudcoil.models.keda.v1alpha1 as keda
import cloudcoil.models.prometheus_operator.v1 as prometheus
import jsonschema_rs
import kubernetes_validate
import orjson

from tests.deploy.objects import Object, operators_templates, title, walk

# The oldest that Kubernetes' project still mends when this was written, less two; and the newest.
KUBERNETES_VERSIONS = ("1.33", "1.37")
_OWN_GROUPS = frozenset({"v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2"})
_MODELS: dict[tuple[str, str], Any] = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("keda.sh/v1alpha1", "TriggerAuthentication"): keda.TriggerAuthentication,
    ("monitoring.coreos.com/v1", "PodMonitor"): prometheus.PodMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): prometheus.PrometheusRule,
}


def schema_problems(objects: Iterable[Object]) -> list[str]:
    """Return what the schemas say of some objects."""
    return [f"{title(one)}: {problem}" for one in objects for problem in _problems_of(one)]


def _problems_of(one: Object) -> list[str]:
    key = one["apiVersion"], one["kind"]
    if key in _MODELS or key in _BY_HAND:
        return [
            f"/{'/'.join(map(str, error.instance_path))}: {error.message}"
            for error in _validator(*key).iter_errors(one)
        ]
    if key[0] in _OWN_GROUPS or key[0].endswith(".k8s.io/v1"):
        return [problem for version in KUBERNETES_VERSIONS for problem in _own(one, version)]
    return [f"nobody checks the kind {key[0]} {key[1]}"]


def _own(one: Object, version: str) -> list[str]:
    return _own_text(orjson.dumps(one), version)


@functools.cache  # most objects are seen again and again, and each time takes a while
def _own_text(text: bytes, version: str) -> list[str]:
    try:
        kubernetes_validate.validate(orjson.loads(text), version, strict=True)
    except (
        kubernetes_validate.SchemaNotFoundError,
        kubernetes_validate.ValidationError,
    ) as error:
        return [f"{version}: {error}"]
    return []


@functools.cache
def _validator(group: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    if by_hand := _BY_HAND.get((group, kind)):
        return jsonschema_rs.Draft202012Validator(by_hand)
    schema = _MODELS[group, kind].model_json_schema(by_alias=True)
    for _, inner in list(walk(schema)):
        if isinstance(inner, dict) and isinstance(inner.get("properties"), dict):
            inner["additionalProperties"] = False
    return jsonschema_rs.Draft202012Validator(schema)


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _text(pattern: str = ".") -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


def _custom(group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object({"name": _text(), "namespace": _text()}, {"labels": {"type": "object"}})
    return _object(
        {
            "apiVersion": {"const": group},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": spec,
        }
    )


_NAME = _object({"name": _text("^[a-z0-9-]+$")})
_CLUSTER = {"rabbitmqClusterReference": _NAME}
_ANY = {"type": "object"}  # of Kubernetes' own types: what is a pod's, template_problems sees to
_RABBITMQ = "rabbitmq.com/v1beta1"
_MONGODB = "mongodbcommunity.mongodb.com/v1"
_TEMPLATE = _object({"template": _object({"spec": _ANY})})
_MEMBERS = _object({"template": _object({"spec": _ANY}), "volumeClaimTemplates": _list(_ANY)})
_BY_HAND: dict[tuple[str, str], dict[str, Any]] = {
    (_RABBITMQ, "RabbitmqCluster"): _custom(
        _RABBITMQ,
        "RabbitmqCluster",
        _object(
            {
                "replicas": {"enum": [1, 3, 5]},
                "resources": _ANY,
                "persistence": _object({"storage": _text()}),
                "affinity": _ANY,
                "terminationGracePeriodSeconds": {"type": "integer", "minimum": 60},
                "rabbitmq": _object({"additionalConfig": _text("^([a-z_.]+ = [^\n]+(\n|$))+$")}),
                "override": _object({"statefulSet": _object({"spec": _TEMPLATE})}),
            }
        ),
    ),
    (_RABBITMQ, "User"): _custom(
        _RABBITMQ,
        "User",
        _object(_CLUSTER, {"tags": _list({"enum": ["management", "policymaker", "monitoring"]})}),
    ),
    (_RABBITMQ, "Permission"): _custom(
        _RABBITMQ,
        "Permission",
        _object(
            {
                "vhost": _text(),
                "userReference": _NAME,
                "permissions": _object({"configure": _text(), "write": _text(), "read": _text()}),
            }
            | _CLUSTER
        ),
    ),
    (_RABBITMQ, "Policy"): _custom(
        _RABBITMQ,
        "Policy",
        _object(
            {
                "name": _text(),
                "vhost": _text(),
                "pattern": _text(),
                "applyTo": {"enum": ["queues", "exchanges", "all"]},
                "definition": _object({"max-length-bytes": {"type": "integer", "minimum": 1}}),
            }
            | _CLUSTER
        ),
    ),
    (_MONGODB, "MongoDBCommunity"): _custom(
        _MONGODB,
        "MongoDBCommunity",
        _object(
            {
                "type": {"const": "ReplicaSet"},
                "members": {"enum": [1, 3, 5]},
                "version": _text(r"^[0-9]+\.[0-9]+\.[0-9]+$"),
                "security": _object({"authentication": _object({"modes": {"const": ["SCRAM"]}})}),
                "users": _list(
                    _object(
                        {
                            "name": _text(),
                            "db": _text(),
                            "passwordSecretRef": _NAME,
                            "roles": _list(_object({"name": _text(), "db": _text()})),
                            "scramCredentialsSecretName": _text("^[a-z0-9-]+$"),
                        }
                    )
                ),
                "additionalMongodConfig": _ANY,
                "statefulSet": _object({"spec": _MEMBERS}),
            }
        ),
    ),
}  # fmt: skip


def _stateful_set(template: Object) -> Object:
    """Return a StatefulSet with a pod template, complete enough for Kubernetes' schema."""
    labels = {"app": "check"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "check"},
        "spec": {
            "serviceName": "check",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    }


def template_problems(objects: Iterable[Object]) -> list[str]:
    """Return what Kubernetes' schemas say of the pod templates inside operators' objects."""
    return [
        f"{name}: {problem}"
        for name, template in operators_templates(objects).items()
        for version in KUBERNETES_VERSIONS
        for problem in _own(_stateful_set(template), version)
    ]

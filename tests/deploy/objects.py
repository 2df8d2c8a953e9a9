"""Kubernetes objects as an overlay renders them, and what is read from them again and again."""

import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.services import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("dev", "production")
_RENDER_TIMEOUT_S = 60

Object = dict[str, Any]


def render(folder: Path) -> list[Object]:
    """Render a kustomization, strictly: a warning is an error."""
    done = subprocess.run(
        # The one that is installed beside this Python, whatever else is on the PATH.
        [Path(sys.executable).with_name("kubectl"), "kustomize", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=_RENDER_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


@functools.cache
def _overlay_text(name: str) -> str:
    return yaml.safe_dump_all(render(KUBERNETES / "overlays" / name))


def overlay(name: str) -> list[Object]:
    """Return what an overlay renders: a copy that the caller may change."""
    return list(yaml.safe_load_all(_overlay_text(name)))


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    (found,) = (one for one in of_kind(objects, kind) if name_of(one) == name)
    return found


def name_of(one: Object) -> str:
    name: str = one["metadata"]["name"]
    return name


def title(one: Object) -> str:
    return f"{one['kind']} {name_of(one)}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that one of our own objects will make."""

    owner: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def title(self) -> str:
        return title(self.owner)

    @property
    def container(self) -> Object:
        """All of ours have one."""
        (container,) = self.spec["containers"]
        found: Object = container
        return found

    def port(self, name: str) -> int | None:
        """Return the number of a named port."""
        for port in self.container.get("ports", ()):
            if port["name"] == name:
                number: int = port["containerPort"]
                return number
        return None


def template_of(one: Object) -> Object | None:
    """Return the template of the pods that an object of ours makes."""
    template: Object
    if one["kind"] == "Deployment":
        template = one["spec"]["template"]
    elif one["kind"] == "CronJob":
        template = one["spec"]["jobTemplate"]["spec"]["template"]
    else:
        return None
    return template


def pods(objects: Iterable[Object]) -> list[Pod]:
    return [
        Pod(one, template["metadata"]["labels"], template["spec"])
        for one in objects
        if (template := template_of(one)) is not None
    ]


def operators_pods(objects: Iterable[Object]) -> dict[str, dict[str, str]]:
    """Return the labels of the pods that operators make, as far as is written of them.

    RabbitMQ: https://www.rabbitmq.com/kubernetes/operator/using-operator, and MongoDB's operator
    gives its pods the label `app` with the name of their service.
    """
    found = {}
    for one in objects:
        name = name_of(one)
        if one["kind"] == "RabbitmqCluster":
            found[title(one)] = {"app.kubernetes.io/name": name}
        elif one["kind"] == "MongoDBCommunity":
            found[title(one)] = {"app": f"{name}-svc"}
    return found


def operators_templates(objects: Iterable[Object]) -> dict[str, Object]:
    """Return what we ask of the pods that operators make."""
    found = {}
    for one in objects:
        if one["kind"] == "RabbitmqCluster":
            found[title(one)] = one["spec"]["override"]["statefulSet"]["spec"]["template"]["spec"]
        elif one["kind"] == "MongoDBCommunity":
            found[title(one)] = one["spec"]["statefulSet"]["spec"]["template"]["spec"]
    return found


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector, of which we use matchLabels only, matches labels."""
    assert selector.keys() <= {"matchLabels"}, selector
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value inside a value, with its path."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{path}/{number}")

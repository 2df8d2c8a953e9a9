"""The manifests, as they are rendered: what schemas and our own checks say of them.

No cluster has seen them. So every check is shown to see something, too: each mutation breaks what
is there, and must be complained of.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy import checks_of_pods, checks_of_references
from tests.deploy.checks_of_references import secrets_made_by_operators, secrets_used
from tests.deploy.mutations import MUTATIONS
from tests.deploy.objects import KUBERNETES, OVERLAYS, Object, overlay, render
from tests.deploy.schemas import schema_problems, template_problems
from tests.docs.test_readme import rows_of

README = KUBERNETES.parent / "README.md"
CHECKS: list[Callable[[list[Object]], Iterable[str]]] = [
    schema_problems,
    template_problems,
    checks_of_pods.quantity_problems,
    checks_of_pods.restriction_problems,
    checks_of_pods.grace_problems,
    checks_of_pods.settings_problems,
    checks_of_pods.probe_problems,
    checks_of_pods.image_problems,
    checks_of_references.identity_problems,
    checks_of_references.selector_problems,
    checks_of_references.budget_problems,
    checks_of_references.port_problems,
    checks_of_references.reference_problems,
    checks_of_references.scaling_problems,
    checks_of_references.broker_problems,
    checks_of_references.alert_problems,
]
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())


def problems(objects: list[Object]) -> list[str]:
    return [problem for check in CHECKS for problem in check(objects)]


def with_components(folder: Path, components: Iterable[str]) -> list[Object]:
    """Render the production overlay with some components only, in the order that it has them."""
    production = KUBERNETES / "overlays" / "production"
    kustomization = yaml.safe_load((production / "kustomization.yaml").read_text())
    paths = {Path(one).name: one for one in kustomization["components"]}
    # A kustomization refers to others by relative paths only; so it lies inside a copy.
    copy = folder / "kubernetes"
    copy.mkdir()
    for part in ("base", "components"):
        (copy / part).symlink_to(KUBERNETES / part)
    kustomization["resources"] = ["../base"]
    kustomization["components"] = [f"../components/{name}" for name in paths if name in components]
    (copy / "some").mkdir()
    (copy / "some" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(copy / "some")


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_passes_every_check(name: str) -> None:
    assert problems(overlay(name)) == []


def test_production_has_every_component() -> None:
    file = KUBERNETES / "overlays" / "production" / "kustomization.yaml"
    used = yaml.safe_load(file.read_text())["components"]
    assert sorted(Path(one).name for one in used) == COMPONENTS


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_can_be_left_out(component: str, tmp_path: Path) -> None:
    assert problems(with_components(tmp_path, set(COMPONENTS) - {component})) == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_can_be_had_alone(component: str, tmp_path: Path) -> None:
    assert problems(with_components(tmp_path, {component})) == []


def test_the_readme_lists_the_secrets_that_somebody_must_make(tmp_path: Path) -> None:
    production = overlay("production")
    bare = with_components(tmp_path, {"keda", "compaction"})
    wanted = secrets_used(production) - secrets_made_by_operators(production) | secrets_used(bare)
    listed = {
        (name.strip(" `"), key.strip(" `"))
        for _, name, key, *_ in (
            row.split("|") for row in rows_of(README, "| secret | key | what | needed |")
        )
    }
    assert listed == wanted


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_checks_see(name: str) -> None:
    change, complaint = MUTATIONS[name]
    objects = overlay("production")
    change(objects)

    def found() -> Iterator[str]:
        for check in CHECKS:
            try:
                yield from check(objects)
            except (KeyError, ValueError):  # what one check is for may stop another
                continue

    complaints = list(found())
    assert any(complaint in one for one in complaints), complaints

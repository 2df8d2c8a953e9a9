"""What is documented of the metrics, alerted on and drawn, is what the processes export."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import ingest.telemetry
import worker.telemetry
from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.deploy.objects import named, overlay
from tests.deploy.queries import assert_valid, labels_of, metrics_of, promtool
from tests.deploy.servers import WatchedRabbitMQ
from tests.docs.test_readme import rows_of
from tests.harness.services import ROOT, Site

README = ROOT / "deploy" / "README.md"
MONITORING = ROOT / "deploy" / "kubernetes" / "components" / "monitoring"
ALERT_TESTS = Path(__file__).with_name("alerts.yaml")
_OF_THE_CLIENT = ("process_", "python_")
# Labels that a scrape adds.
_SCRAPED = {"namespace", "pod", "le"}
# Of kube-state-metrics, which is not here: docs/metrics/workload/horizontalpodautoscaler-metrics.md
# of its repository.
_OF_KUBERNETES = {
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
}
# No other label may be had: each has few values, none of which a client makes up.
_BOUNDED = {"method", "status", "reason", "kind", "what", "outcome", "queue"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What both processes show, in Prometheus' text format."""

    gateway: str
    worker: str

    def samples(self) -> set[str]:
        """Return the names of all samples that there may be."""
        names = set()
        for text in (self.gateway, self.worker):
            for family in text_string_to_metric_families(text):
                names |= {sample.name for sample in family.samples}
                # Those with labels may have no sample yet.
                if family.type == "gauge":
                    names.add(family.name)
                if family.type == "counter":
                    names.add(f"{family.name}_total")
                if family.type == "histogram":
                    names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
        return names


@pytest.fixture(scope="module")
def exported(
    broker: RabbitMQ, database: MongoDB, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    site = Site(broker, database, "exported", tmp_path_factory.mktemp("exported"))
    gateway, worker = site.gateway(), site.worker()
    gateway.launch()
    worker.start()
    gateway.await_ready()
    yield Exported(gateway.operations("/metrics"), worker.operations("/metrics"))
    site.close()


def labels_by_metric() -> dict[str, tuple[str, ...]]:
    """Return the labels of each metric, by its name without a suffix."""
    metrics = [
        one
        for module in (ingest.telemetry, worker.telemetry)
        for one in vars(module).values()
        if isinstance(one, MetricWrapperBase)
    ]
    # The client tells them in no other way.
    labels = {one._name: one._labelnames for one in metrics}  # noqa: SLF001
    for family in ingest.telemetry.REQUESTS.collect():
        labels[family.name] = family._labelnames  # type: ignore[attr-defined]  # noqa: SLF001
    return labels


def test_the_table_is_what_the_processes_export(exported: Exported) -> None:
    labels = labels_by_metric()
    rows = []
    for text in (exported.gateway, exported.worker):
        for family in text_string_to_metric_families(text):
            if family.name.startswith(_OF_THE_CLIENT) or family.name.endswith("_created"):
                continue
            suffix = "_total" if family.type == "counter" else ""
            shown = ", ".join(f"`{label}`" for label in labels[family.name])
            cells = [f"`{family.name}{suffix}`", family.type, shown, family.documentation]
            rows.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    assert rows_of(README, "| metric | type | labels | what |") == rows


def test_labels_are_bounded() -> None:
    used = {label for labels in labels_by_metric().values() for label in labels}
    assert used <= _BOUNDED


def test_names_keep_to_the_conventions(exported: Exported) -> None:
    for text in (exported.gateway, exported.worker):
        assert promtool("check", "metrics", text=text) == ""


def rules() -> list[dict[str, Any]]:
    groups = named(overlay("production"), "PrometheusRule", "metric-ingest")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries_of_dashboard() -> dict[str, list[str]]:
    """Return the queries of each panel, with Grafana's variables filled in."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    return {
        f"{panel['id']} {panel['title']}": [
            target["expr"].replace("$__rate_interval", "1m").replace("$namespace", "production")
            for target in panel["targets"]
        ]
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    }


def assert_names_are_there(queries: list[str], samples: set[str]) -> None:
    labels = labels_by_metric()
    for query in queries:
        metrics = metrics_of(query)
        assert metrics, query
        assert metrics <= samples, f"{metrics - samples} in {query}"
        own = {
            label
            for metric in metrics
            for label in labels.get(re.sub(r"_(total|bucket|count|sum)$", "", metric), ())
        }
        if metrics & _OF_KUBERNETES:
            own.add("horizontalpodautoscaler")
        assert labels_of(query) <= own | _SCRAPED, query


def test_alerts_ask_for_metrics_that_there_are(
    exported: Exported, watched_broker: WatchedRabbitMQ
) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    _, of_the_broker = watched_broker.ask("GET", "prometheus/metrics")
    families = text_string_to_metric_families(of_the_broker.decode())
    theirs = {sample.name for family in families for sample in family.samples}
    samples = exported.samples() | recorded | theirs | _OF_KUBERNETES
    assert_names_are_there([rule["expr"] for rule in rules()], samples)


def test_buckets_that_alerts_ask_for_are_there(exported: Exported) -> None:
    there = set(re.findall(r'\{.*le="([^"]+)"', exported.gateway))
    asked = {le for rule in rules() for le in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert asked
    assert asked <= there


def test_the_dashboard_draws_metrics_that_there_are(exported: Exported, tmp_path: Path) -> None:
    queries = [query for some in queries_of_dashboard().values() for query in some]
    assert_names_are_there(queries, exported.samples())
    assert_valid(queries, tmp_path)
    # Both a namespace and the variable of its choice, in each of them.
    assert all('namespace="production"' in query for query in queries)


def test_the_dashboard_is_in_order() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} covers {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_the_rules_are_valid(tmp_path: Path) -> None:
    file = write_rules(tmp_path)
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", file)


def write_rules(folder: Path) -> Path:
    """Write the rules as Prometheus itself reads them."""
    file = folder / "rules.yaml"
    rule = named(overlay("production"), "PrometheusRule", "metric-ingest")
    file.write_text(yaml.safe_dump(rule["spec"]))
    return file


def test_alerts_come_when_they_should_and_only_then(tmp_path: Path) -> None:
    write_rules(tmp_path)
    tests = tmp_path / "alerts.yaml"
    tests.write_text(ALERT_TESTS.read_text())
    assert "SUCCESS" in promtool("test", "rules", tests)


@pytest.mark.parametrize(
    "broken", ["vector(1) > 1", 'label_replace(vector(1), "namespace", "n", "", "")']
)
def test_an_alert_that_never_comes_or_always_is_noticed(broken: str, tmp_path: Path) -> None:
    file = write_rules(tmp_path)
    changed = yaml.safe_load(file.read_text())
    alerts = [one for group in changed["groups"] for one in group["rules"] if "alert" in one]
    for alert in alerts:
        alert["expr"] = broken
    file.write_text(yaml.safe_dump(changed))
    tests = tmp_path / "alerts.yaml"
    tests.write_text(ALERT_TESTS.read_text())
    with pytest.raises(AssertionError) as failure:
        promtool("test", "rules", tests)
    noticed = set(re.findall(r"alertname: (\w+)", str(failure.value)))
    assert noticed == {alert["alert"] for alert in alerts}


def test_every_alert_is_tried_out() -> None:
    tried = {
        alert["alertname"]
        for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]
        for alert in test["alert_rule_test"]
        if alert.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in rules() if "alert" in rule}


def anchor(heading: str) -> str:
    """Return the anchor that GitHub and GitLab give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip("# ").lower()).replace(" ", "-")


def paragraphs() -> Mapping[str, str]:
    """Return the README's paragraphs of the runbook, by their anchors."""
    parts = re.split(r"^(#+ .*)$", README.read_text(), flags=re.MULTILINE)
    return {anchor(heading): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_alert_links_to_its_paragraph() -> None:
    there = paragraphs()
    for rule in rules():
        if "alert" in rule:
            page, _, place = rule["annotations"]["runbook"].partition("#")
            assert page == "deploy/README.md"
            assert f"`{rule['alert']}`" in there[place], rule["alert"]
            assert "*See*" in there[place]
            assert "*Do*" in there[place]
            assert rule["labels"]["severity"] in {"warning", "critical"}


def test_links_in_the_readme_lead_somewhere() -> None:
    there = paragraphs()
    for link in re.findall(r"\]\(#([^)]+)\)", README.read_text()):
        assert link in there

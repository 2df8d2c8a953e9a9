"""Mistakes in the manifests, one at a time, and what the checks must say of each."""

from collections.abc import Callable
from typing import Any

from tests.deploy.objects import Object, named, of_kind

Mutation = Callable[[list[Object]], None]
MUTATIONS: dict[str, tuple[Mutation, str]] = {}


def mutation(complaint: str) -> Callable[[Mutation], Mutation]:
    """Register a mutation of the production overlay, and what must be said of it."""

    def register(change: Mutation) -> Mutation:
        MUTATIONS[change.__name__] = change, complaint
        return change

    return register


def gateway(objects: list[Object]) -> Any:
    return named(objects, "Deployment", "gateway")["spec"]["template"]["spec"]


def container(objects: list[Object]) -> Any:
    return gateway(objects)["containers"][0]


@mutation("nobody checks the kind example.com/v1 Ingress")
def an_unknown_kind(objects: list[Object]) -> None:
    objects.append(
        {
            "apiVersion": "example.com/v1",
            "kind": "Ingress",
            "metadata": {"name": "x", "namespace": "metric-ingest"},
        }
    )


@mutation("Additional properties are not allowed")
def an_unknown_field(objects: list[Object]) -> None:
    container(objects)["imagePolicy"] = "Always"


@mutation("'minReplicas' was unexpected")
def an_unknown_field_of_keda(objects: list[Object]) -> None:
    named(objects, "ScaledObject", "worker")["spec"]["minReplicas"] = 3


@mutation("'tag' was unexpected")
def an_unknown_field_of_rabbitmq(objects: list[Object]) -> None:
    named(objects, "User", "keda")["spec"]["tag"] = "monitoring"


@mutation("Additional properties are not allowed")
def an_unknown_field_in_a_template_of_mongodb(objects: list[Object]) -> None:
    spec = named(objects, "MongoDBCommunity", "metrics-mongodb")["spec"]["statefulSet"]["spec"]
    spec["template"]["spec"]["containers"][0]["resource"] = {}


@mutation("is no quantity: 2GB")
def a_malformed_quantity(objects: list[Object]) -> None:
    container(objects)["resources"]["requests"]["memory"] = "2GB"


@mutation("may run as root")
def a_root_user(objects: list[Object]) -> None:
    del gateway(objects)["securityContext"]["runAsNonRoot"]


@mutation("may write to its root file system")
def a_writable_root(objects: list[Object]) -> None:
    del container(objects)["securityContext"]["readOnlyRootFilesystem"]


@mutation("keeps capabilities")
def capabilities(objects: list[Object]) -> None:
    container(objects)["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]


@mutation("RabbitmqCluster metrics-rabbitmq: rabbitmq may gain privileges")
def privileges_of_a_broker(objects: list[Object]) -> None:
    cluster = named(objects, "RabbitmqCluster", "metrics-rabbitmq")["spec"]
    template = cluster["override"]["statefulSet"]["spec"]["template"]["spec"]
    del template["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


@mutation("services add variables")
def service_links(objects: list[Object]) -> None:
    del gateway(objects)["enableServiceLinks"]


@mutation("a memory limit, a CPU request, no more")
def a_cpu_limit(objects: list[Object]) -> None:
    container(objects)["resources"]["limits"]["cpu"] = "1"


@mutation("is shorter than")
def a_short_grace_period(objects: list[Object]) -> None:
    gateway(objects)["terminationGracePeriodSeconds"] = 30


@mutation("must wait 5 to 10 s")
def no_pre_stop(objects: list[Object]) -> None:
    del container(objects)["lifecycle"]


@mutation("nobody reads INGEST_TIMEOUT_S")
def an_unknown_setting(objects: list[Object]) -> None:
    container(objects)["env"].append({"name": "INGEST_TIMEOUT_S", "value": "1"})


@mutation("INGEST_DRAIN_TIMEOUT_S must be a number of seconds")
def a_wrong_setting(objects: list[Object]) -> None:
    (config,) = (o for o in of_kind(objects, "ConfigMap") if "INGEST_AUTH" in o["data"])
    config["data"]["INGEST_DRAIN_TIMEOUT_S"] = "20s"


@mutation("INGEST_JWT_ISSUER is not set")
def a_missing_setting(objects: list[Object]) -> None:
    (config,) = (o for o in of_kind(objects, "ConfigMap") if "INGEST_AUTH" in o["data"])
    del config["data"]["INGEST_JWT_ISSUER"]


@mutation("a variable is used before it is set")
def variables_in_the_wrong_order(objects: list[Object]) -> None:
    container(objects)["env"].reverse()


@mutation("may need")
def too_little_memory(objects: list[Object]) -> None:
    container(objects)["resources"]["limits"]["memory"] = "1Gi"


@mutation("nobody listens there")
def another_port(objects: list[Object]) -> None:
    container(objects)["ports"][0]["containerPort"] = 80


@mutation("has no rights in")
def another_database(objects: list[Object]) -> None:
    container(objects)["env"].append({"name": "MONGODB_DATABASE", "value": "other"})


@mutation("there is no such command")
def another_command(objects: list[Object]) -> None:
    container(objects)["args"] = ["gateway"]


@mutation("asks a port that does not answer: ops")
def a_probe_of_another_port(objects: list[Object]) -> None:
    container(objects)["livenessProbe"]["httpGet"]["port"] = "ops"


@mutation("livenessProbe asks /readyz")
def liveness_that_asks_for_readiness(objects: list[Object]) -> None:
    container(objects)["livenessProbe"]["httpGet"]["path"] = "/readyz"


@mutation("is not of one version")
def the_latest_image(objects: list[Object]) -> None:
    for one in of_kind(objects, "Deployment"):
        one["spec"]["template"]["spec"]["containers"][0]["image"] = "metric-ingest:latest"
    job = named(objects, "CronJob", "compaction")["spec"]["jobTemplate"]
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "metric-ingest:latest"


@mutation("is there 2 times")
def a_doubled_name(objects: list[Object]) -> None:
    objects.append(named(objects, "Service", "gateway"))


@mutation("is not in the namespace")
def another_namespace(objects: list[Object]) -> None:
    named(objects, "Service", "gateway")["metadata"]["namespace"] = "default"


@mutation("Deployment gateway: its selector does not match its pods")
def another_label(objects: list[Object]) -> None:
    labels = named(objects, "Deployment", "gateway")["spec"]["template"]["metadata"]["labels"]
    labels["app.kubernetes.io/name"] = "ingest"


@mutation("Service gateway: selects other pods")
def another_selector(objects: list[Object]) -> None:
    named(objects, "Service", "gateway")["spec"]["selector"] = {"app": "gateway"}


@mutation("PodDisruptionBudget metrics-mongodb: selects other pods")
def a_budget_for_nobody(objects: list[Object]) -> None:
    budget = named(objects, "PodDisruptionBudget", "metrics-mongodb")
    budget["spec"]["selector"]["matchLabels"] = {"app": "metrics-mongodb"}


@mutation("hold up a node's drain")
def a_budget_that_holds_up(objects: list[Object]) -> None:
    del named(objects, "PodDisruptionBudget", "worker")["spec"]["unhealthyPodEvictionPolicy"]


@mutation("has no disruption budget")
def no_budget(objects: list[Object]) -> None:
    objects.remove(named(objects, "PodDisruptionBudget", "metrics-rabbitmq"))


@mutation("Service gateway: Deployment gateway has no port web")
def a_service_to_another_port(objects: list[Object]) -> None:
    named(objects, "Service", "gateway")["spec"]["ports"][0]["targetPort"] = "web"


@mutation("PodMonitor worker: Deployment worker has no port metrics")
def a_scrape_of_another_port(objects: list[Object]) -> None:
    monitor = named(objects, "PodMonitor", "worker")
    monitor["spec"]["podMetricsEndpoints"][0]["port"] = "metrics"


@mutation("there is no ConfigMap gateway")
def another_config_map(objects: list[Object]) -> None:
    for one in of_kind(objects, "ConfigMap"):
        if one["metadata"]["name"].startswith("gateway-"):
            container(objects)["envFrom"][0]["configMapRef"]["name"] = "gateway"
            objects.append(one | {"metadata": one["metadata"] | {"name": "unused"}})


@mutation("there is no ServiceAccount")
def no_account(objects: list[Object]) -> None:
    objects.remove(named(objects, "ServiceAccount", "compaction"))


@mutation("secrets are referred to")
def a_secret(objects: list[Object]) -> None:
    metadata = {"name": "broker", "namespace": "metric-ingest"}
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})


@mutation("belong to an autoscaler")
def two_owners(objects: list[Object]) -> None:
    named(objects, "Deployment", "worker")["spec"]["replicas"] = 2


@mutation("does not count what workers hold")
def a_scaler_over_amqp(objects: list[Object]) -> None:
    trigger = named(objects, "ScaledObject", "worker")["spec"]["triggers"][0]
    trigger["metadata"]["protocol"] = "amqp"


@mutation("own prefetch of 64 messages")
def a_scaler_below_the_prefetch(objects: list[Object]) -> None:
    trigger = named(objects, "ScaledObject", "worker")["spec"]["triggers"][0]
    trigger["metadata"]["value"] = "50"


@mutation("does not count the queues of updates")
def a_scaler_for_one_queue(objects: list[Object]) -> None:
    trigger = named(objects, "ScaledObject", "worker")["spec"]["triggers"][0]
    trigger["metadata"]["queueName"] = r"^metrics\.updates$"


@mutation("does not count all queues together")
def a_scaler_by_the_longest_queue(objects: list[Object]) -> None:
    trigger = named(objects, "ScaledObject", "worker")["spec"]["triggers"][0]
    del trigger["metadata"]["operation"]


@mutation("may configure too little or too much")
def a_gateway_with_rights_on_one_queue(objects: list[Object]) -> None:
    permissions = named(objects, "Permission", "gateway")["spec"]["permissions"]
    permissions["configure"] = r"^metrics\.(updates|dead-letters)$"


@mutation("User worker: may read too little or too much")
def a_worker_that_reads_everything(objects: list[Object]) -> None:
    named(objects, "Permission", "worker")["spec"]["permissions"]["read"] = ".*"


@mutation("different numbers of queues")
def more_queues_for_gateways_only(objects: list[Object]) -> None:
    container(objects)["env"].append({"name": "UPDATE_QUEUES", "value": "2"})


@mutation("too small for the limit of all queues")
def more_queues_on_the_same_disks(objects: list[Object]) -> None:
    for one in of_kind(objects, "Deployment"):
        (process,) = one["spec"]["template"]["spec"]["containers"]
        process["env"].append({"name": "UPDATE_QUEUES", "value": "4"})


@mutation("does not count the queues of updates")
def a_scaler_for_another_queue(objects: list[Object]) -> None:
    trigger = named(objects, "ScaledObject", "worker")["spec"]["triggers"][0]
    trigger["metadata"]["queueName"] = "updates"


@mutation("may not even see the virtual host")
def a_user_without_permission(objects: list[Object]) -> None:
    objects.remove(named(objects, "Permission", "keda"))


@mutation("is not for the queues of updates")
def a_policy_for_another_queue(objects: list[Object]) -> None:
    named(objects, "Policy", "metrics-updates")["spec"]["pattern"] = "^updates$"


@mutation("NoGateways is not about this namespace")
def an_alert_for_another_namespace(objects: list[Object]) -> None:
    rule = named(objects, "PrometheusRule", "metric-ingest")
    for group in rule["spec"]["groups"]:
        for one in group["rules"]:
            one["expr"] = one["expr"].replace('"metric-ingest"', '"production"')

"""Updates stored per second, end to end, against an MLflow tracking server: `make bench-peers`.

MLflow answers when a batch is in its database, so what it answers per second is what it stores.
"""

from tests.bench.bodies import Mix
from tests.bench.load import Load
from tests.bench.mlflow import LOG_BATCH, MLflow, running, version
from tests.bench.pipeline import Pipeline, pipeline
from tests.bench.rig import Rig

TITLE = "Against an MLflow tracking server, updates stored"
MIXES = (Mix(1), Mix(10), Mix(100))
_WARM_UP_S = 3.0
_ROUND_S = 5.0
_MLFLOW_S = 10.0
# One for each of its processes: SQLite has one writer, so more get it no further, and with 64 some
# rounds passed without an answer.
_MLFLOW_CONNECTIONS = 4
_ROUNDS = 3
_RUNS = 64


def measure(rig: Rig) -> None:
    """Measure all mixes."""
    rig.report.machine["mlflow"] = version()
    rig.say("mlflow: starting")
    with running(rig.folder_of("mlflow")) as mlflow, pipeline(rig, "mlflow") as ours:
        runs = mlflow.create_runs(_RUNS)
        for mix in MIXES:
            _measure_mix(rig, mlflow, runs, ours, mix)


def _measure_mix(rig: Rig, mlflow: MLflow, runs: list[str], ours: Pipeline, mix: Mix) -> None:
    stored: list[float] = []
    theirs: list[float] = []
    rounds = rig.rounds(_ROUNDS)
    for number in range(rounds):
        rig.say(f"mlflow: {mix}, round {number + 1} of {rounds}")
        stored.append(ours.steady(rig, mix, _WARM_UP_S, rig.seconds(_ROUND_S)))
        url = f"{mlflow.url}/log-batch"
        seconds = rig.seconds(_MLFLOW_S)
        batches = Load(
            url, mix, rig.folder, runs, seconds, form=LOG_BATCH, connections=_MLFLOW_CONNECTIONS
        )
        batches.start()
        theirs.append(rig.noted(batches.finish()).rate)
    report, head = rig.report, f"mlflow.{mix.key}"
    report.add(f"{head}.stored", f"{mix}: stored", "/s", stored)
    report.add(f"{head}.mlflow", f"{mix}: MLflow", "/s", theirs)
    report.compare(f"{head}.ratio", f"{mix}: stored ÷ MLflow", stored, theirs)

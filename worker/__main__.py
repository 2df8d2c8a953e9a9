"""`python -m worker`: run a worker."""

from ingest.runtime.process import run_process
from worker.server import Worker
from worker.settings import WorkerSettings

if __name__ == "__main__":
    run_process(WorkerSettings, lambda settings: Worker(settings).run)

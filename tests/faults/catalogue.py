"""All faults that are tried: a few times in the tests, thoroughly by `make chaos`."""

from tests.faults import of_brokers, of_databases, of_everything, of_links, of_load, of_processes

FAULTS = (
    *of_processes.FAULTS,
    *of_brokers.FAULTS,
    *of_databases.FAULTS,
    *of_links.FAULTS,
    *of_load.FAULTS,
    *of_everything.FAULTS,
)

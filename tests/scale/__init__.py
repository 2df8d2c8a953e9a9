"""Tests of more than one of everything: gateways on one port, queues, workers, shards."""

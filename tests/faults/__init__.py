"""Tests that break things, with the ledger."""

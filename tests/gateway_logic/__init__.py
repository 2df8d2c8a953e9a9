"""Tests of the gateway's pure parts: sequences, query parameters, settings, logs."""

"""Tests of the contract and of the worker's pure part: laws and limits, without any server."""

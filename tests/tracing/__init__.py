"""Traces: one from the request through the message to the write."""

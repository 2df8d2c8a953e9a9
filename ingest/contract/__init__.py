"""What the gateway and the worker agree on, without any I/O.

The schema of an update, the message on the queue, the queue topology, the merge rules and the
stored documents stand here once, as data and pure functions. Nothing in this package imports a
driver or a web framework.
"""

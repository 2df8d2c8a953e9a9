"""What gateway and worker both need to run: settings, logs, the operations port, connections.

The only place, besides the contract, that the worker shares with the gateway.
"""

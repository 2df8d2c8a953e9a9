"""The HTTP contract, request by request, against the real gateway, broker, worker and database."""

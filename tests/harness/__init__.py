"""What tests drive the product with: its processes, a client, a load, and the ledger."""

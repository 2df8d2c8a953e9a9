"""More than a gateway may take on: floods, greedy tenants, clients that dawdle."""

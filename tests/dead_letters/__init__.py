"""`python -m worker dead-letters`: the real command on real queues."""

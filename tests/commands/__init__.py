"""`python -m ingest send` and `query`, as scripts and people run them."""

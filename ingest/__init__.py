"""The gateway: takes updates over HTTP, puts them on the queue, answers queries.

`python -m ingest` starts it. Read `server.py` first: it shows how the parts are put together.
`contract/` is what gateway and worker agree on; `runtime/` is what both need to run at all.
"""

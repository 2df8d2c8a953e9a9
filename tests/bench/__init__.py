"""`make bench`: what the product does, against ceilings and peers, in one run on one machine.

`__main__` runs the sections that `catalogue` lists. A section starts what it needs on the servers
of `rig`, loads it with `load` (wrk) or `latency` (open loop), and puts figures into `report`, which
compares them with `targets`. `ceilings`, `textbook` and `mlflow` are what is compared with. The
product is used from outside: its processes, HTTP, the queue, the database.
"""

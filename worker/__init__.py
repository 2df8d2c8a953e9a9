"""The worker: takes messages from the queue and applies them to the database.

`python -m worker` starts one; any number run side by side. Read `server.py` first.
"""

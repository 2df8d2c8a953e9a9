"""The command `dead-letters`: list, show, replay and drop what is on the dead-letter queue.

Read `commands.py` first, then `walk.py`: how a queue is looked through without losing anything.
"""

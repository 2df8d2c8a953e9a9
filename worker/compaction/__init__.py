"""Compaction: many small segments of a resource become few large ones, and no answer changes."""

"""The sections of the bench: each has a title and a `measure`, and is listed in `catalogue`."""

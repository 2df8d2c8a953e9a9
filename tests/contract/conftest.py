"""Properties are checked without a deadline: a busy machine is no counterexample."""

from hypothesis import settings

settings.register_profile("logic", deadline=None)
settings.load_profile("logic")

"""Properties are checked without a deadline: a busy machine is no counterexample."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "live", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("live")

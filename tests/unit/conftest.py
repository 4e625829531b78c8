"""Settings of the property tests: the same examples on every machine, and no clock in a verdict."""

from hypothesis import settings

settings.register_profile("unit", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("unit")

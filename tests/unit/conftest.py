"""Settings of the property tests: the same examples on every machine, and no clock in a verdict.

`--hypothesis-profile faults` is for a long search: fifty times as many, others each time.
"""

from hypothesis import settings

settings.register_profile("unit", max_examples=60, deadline=None, derandomize=True, database=None)
settings.register_profile("faults", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("unit")

"""How long the property tests play: the profile `ci` unless HYPOTHESIS_PROFILE says `long`.

`ci` plays the same games each time, so that a change is what makes a difference; `long` plays others with each run, and
prints how to play again what failed.
"""

import os

from hypothesis import HealthCheck, settings

# No database: what fails is kept as a test of its own. No deadline for one play: pytest's limit is for all of them.
_common = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

settings.register_profile("ci", _common, max_examples=600, stateful_step_count=40, derandomize=True)
settings.register_profile("long", _common, max_examples=20_000, stateful_step_count=80, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

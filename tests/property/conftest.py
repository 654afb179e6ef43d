"""How long the property tests play: the profile `ci` unless HYPOTHESIS_PROFILE says `long`.

`ci` plays the same games each time, so that a change is what makes a difference; `long` plays others with each run, and
prints how to play again what failed.
"""

import os

from hypothesis import HealthCheck, settings

_WHOLE = {
    "deadline": None,  # for one game; pytest's limit is for all
    "database": None,
    "suppress_health_check": list(HealthCheck),
}

settings.register_profile("ci", max_examples=150, stateful_step_count=40, derandomize=True, **_WHOLE)
settings.register_profile("long", max_examples=20_000, stateful_step_count=80, print_blob=True, **_WHOLE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

"""Settings for the commands that work on this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from gateway.config import ConfigError, Settings, load


def load_settings(
    flags: Mapping[str, Any], config: Path | None, flag_names: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings. Raises click.UsageError with everything that is wrong with them."""
    try:
        return load(flags, config, flag_names)
    except ConfigError as error:
        raise refusal(error.problems) from error


def refusal(problems: Sequence[str]) -> click.UsageError:
    """Return the error that tells all of them."""
    listed = "\n".join(f"  {problem}" for problem in problems)
    return click.UsageError(f"these settings cannot be used:\n{listed}")

"""Settings for the commands that work on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.config import ConfigError, Settings, load


def load_settings(flags: Mapping[str, Any], config: Path | None) -> Settings:
    """Return the settings. Raises click.UsageError with everything that is wrong with them."""
    try:
        return load(flags, config)
    except ConfigError as error:
        listed = "\n".join(f"  {problem}" for problem in error.problems)
        raise click.UsageError(f"these settings cannot be used:\n{listed}") from error

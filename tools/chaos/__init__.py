"""A gateway under load while it and its workers are killed: `make chaos`."""

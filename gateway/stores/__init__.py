"""Stores remember sessions. `base` is the contract, the other modules keep it."""

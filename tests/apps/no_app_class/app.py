"""A module that is no app."""

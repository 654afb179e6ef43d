"""What is not here, in words that say what to do."""


class Missing(Exception):
    """A program, a package or a flag that is needed. The text says which, and what to do."""

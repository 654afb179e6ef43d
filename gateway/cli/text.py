"""Text of somebody else on a terminal, and whether that has colours."""

import os
import unicodedata


def colour() -> bool | None:
    """Return what click.echo is to do with styles: drop them if NO_COLOR is set, else see where it writes."""
    return False if os.environ.get("NO_COLOR") else None


def visible(text: str) -> str:
    """Return text of somebody else in a form in which it cannot steer the terminal."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )

"""Looks at an installation and says what is wrong with it. Nothing here changes anything, nor disturbs a gateway."""

"""Runs cells of Python code for the interpreter app.

A package, so that no module here has a name that a user's own module is likely to have: both are on `sys.path`.
"""

"""Plays the scenarios of clients/conformance with the client of every language, and compares."""

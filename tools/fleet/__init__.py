"""Several gateways that are one to their callers, for `make chaos-cluster` and `make demo-cluster`.

How such gateways are started is said here and nowhere else (`members.py`).
"""

"""The gateway's numbers for Prometheus."""

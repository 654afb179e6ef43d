"""The conformance executor of the Python client; the protocol stands in clients/conformance/README.md."""

"""The measurements: what a gateway does in a second, beside what the transport allows on the same machine."""

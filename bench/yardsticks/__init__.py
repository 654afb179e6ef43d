"""What the gateway is compared with: each is a process of its own that runs beside it."""

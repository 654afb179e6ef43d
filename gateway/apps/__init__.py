"""Apps: their names and manifests, deploying them, and resolving `name@version`."""

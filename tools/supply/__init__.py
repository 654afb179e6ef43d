"""What the project is made of beside its own code: `make audit` looks for faults of it, `make sbom` lists it."""

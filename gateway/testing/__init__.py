"""Published for tests: a fake clock, harnesses for a gateway, and suites by which a store or a pool proves itself."""

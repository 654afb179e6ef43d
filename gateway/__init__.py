"""Session Gateway: leases one worker process to one caller for as long as a session lasts.

The way of a request through the packages: `rpc` translates, `sessions` decides, `stores` remember, `workers` run,
`apps` resolve. docs/architecture.md has the whole picture.
"""

"""`python -m gateway.cli` is `sgw`."""

from gateway.cli import main

main()

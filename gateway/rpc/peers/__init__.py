"""Between the gateway processes of one machine: a request that another one has to answer goes there as it came."""

"""The edge: translates between gRPC and the domain, and decides nothing. The only package that knows gRPC."""

"""The domain: the only place that knows the rules of the contract. No grpc, no protobuf, no I/O of its own."""

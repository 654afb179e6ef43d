"""gRPC over HTTP/2 on the gateway's own event loop, by nghttp2."""

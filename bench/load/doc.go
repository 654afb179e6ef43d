// Command load puts load on a gRPC server and checks every answer.
//
// It reads one JSON [Plan] from standard input and prints one JSON [Report] to standard output. The exit code is 0 only
// if every answer came and was right, 1 if one was wrong or missing (the report still comes), and 2, with one line on
// standard error, if the plan cannot be read.
//
//	{"target": "127.0.0.1:50151", "connections": 4, "kind": "unary",
//	 "path": "/sessiongateway.v1.SessionService/Run",
//	 "slots": [{"request": "CgRlY2hv", "contains": "e30="}],
//	 "requests": 20000, "warmup": 200}
//
// A slot is one caller: it sends its next request when the last is answered. With "requests" the slots do so at once
// (closed loop); with "rate" and "seconds" requests are due at a constant rate (open loop), and the latency of each
// counts from the moment when it was due, however late a slot became free for it.
//
// A slot may have an "opening": a request that it sends once, before all others, over the connection that it will use.
// What the answer tells, such as the id of a session, goes into all its other requests.
//
// It speaks HTTP/2 by itself, over [golang.org/x/net/http2.Framer], because it shares its processors with the server
// that it measures: grpc-go costs several times as much for each call. One goroutine serves all connections, with epoll;
// what comes of one read is sent with one write.
package main

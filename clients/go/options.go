package sessiongateway

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
)

// Option sets something about a [Client].
type Option func(*settings)

type settings struct {
	address   string
	apiKey    string
	encrypted bool
	tls       *tls.Config
	timeout   time.Duration
	dial      []grpc.DialOption
	pacing    *pacing
}

// WithAddress says where the gateway is, as "HOST:PORT". With "dns:///HOST:PORT", or "dns://NAMESERVER:PORT/HOST:PORT",
// calls go round among all addresses of the name. Left out: the environment's SGW_ADDRESS, else [DefaultAddress].
func WithAddress(address string) Option {
	return func(s *settings) { s.address = address }
}

// WithAPIKey sends a key with every request. Left out: the environment's SGW_API_KEY, if there is one. An empty key
// sends none.
func WithAPIKey(key string) Option {
	return func(s *settings) { s.apiKey = key }
}

// WithTLS encrypts the connection. Its RootCAs are who is trusted, by default the system's; its Certificates are who
// the client is, for gateways that ask for that. Nil is the default configuration. Without this option: plain text.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.encrypted, s.tls = true, config }
}

// WithTimeout is how long a request may take with all its attempts, if its context has no deadline. Left out: as long
// as it takes.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithDialOptions adds options of gRPC, such as interceptors or a stats handler for tracing. They come after the
// client's own and override them.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// withPacing replaces the waits.
func withPacing(pacing *pacing) Option {
	return func(s *settings) { s.pacing = pacing }
}

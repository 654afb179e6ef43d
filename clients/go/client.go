package sessiongateway

import (
	"context"
	"os"
	"strings"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// DefaultAddress is where a gateway listens unless it is told otherwise.
const DefaultAddress = "127.0.0.1:50151"

// Client is a connection to one gateway. Programs make one and share it.
type Client struct {
	// Sessions reads, lists, watches, renews and ends sessions.
	Sessions *Sessions
	// Apps tells what is deployed.
	Apps *Apps

	transport *transport
	timeout   time.Duration
	renewer   *renewer
}

// NewClient returns a client. The connection is made with the first request.
//
// It returns ErrUsage if the address is not HOST:PORT, or if the API key cannot be sent.
func NewClient(options ...Option) (*Client, error) {
	s := settings{
		address: os.Getenv("SGW_ADDRESS"),
		apiKey:  os.Getenv("SGW_API_KEY"),
		pacing:  defaultPacing(),
	}
	for _, option := range options {
		option(&s)
	}
	if s.address == "" {
		s.address = DefaultAddress
	}
	if err := checkAddress(s.address); err != nil {
		return nil, err
	}
	conn, err := dial(&s)
	if err != nil {
		return nil, err
	}
	c := &Client{transport: newTransport(conn, s.pacing), timeout: s.timeout}
	c.renewer = newRenewer(c.transport)
	c.Sessions = &Sessions{c}
	c.Apps = &Apps{c}
	return c, nil
}

// checkAddress refuses what gRPC would take for the name of a host and then never find.
func checkAddress(address string) error {
	scheme, _, isURL := strings.Cut(strings.ToLower(address), "://")
	if isURL && (scheme == "http" || scheme == "https") {
		return usage("the address of a gateway is HOST:PORT, not a URL: %q", address)
	}
	if !strings.Contains(address, ":") {
		return usage("the address of the gateway must be HOST:PORT, not %q", address)
	}
	return nil
}

// Run calls a function of an app and returns its answer. Cancelling the context cancels the function.
//
// A run is never sent again because a connection broke; see [Error.RunState] for what became of it. It returns ErrUsage
// for what cannot be sent, and any other code that the gateway has.
func (c *Client) Run(ctx context.Context, request RunRequest) (*RunResult, error) {
	message, err := request.message()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	return c.run(ctx, message)
}

// Close stops every renewal and watch, cancels what is in flight and closes the connection. Sessions live on until
// their timeout. It may be called twice.
func (c *Client) Close() error {
	c.transport.close()
	// An error only says that it was closed before.
	_ = c.transport.conn.Close()
	return nil
}

// limit gives a request the client's timeout, if its context has no deadline.
func (c *Client) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || c.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}

func (c *Client) run(ctx context.Context, request *pb.RunRequest) (*RunResult, error) {
	return resend(ctx, c.transport, func() (*RunResult, error) { return c.transport.run(ctx, request) })
}

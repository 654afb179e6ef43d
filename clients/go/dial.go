package sessiongateway

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// maxAnswer is the largest message that is taken, in bytes.
const maxAnswer = 64 << 20

// serviceConfig repeats what is safe to repeat. Run and the streams are absent on purpose: gRPC cannot know whether a
// run was applied when its connection broke, and a broken stream is opened again with its own backoff.
const serviceConfig = `{
	"methodConfig": [{
		"name": [
			{"service": "sessiongateway.v1.SessionService", "method": "GetSession"},
			{"service": "sessiongateway.v1.SessionService", "method": "ListSessions"},
			{"service": "sessiongateway.v1.SessionService", "method": "Keepalive"},
			{"service": "sessiongateway.v1.SessionService", "method": "EndSession"},
			{"service": "sessiongateway.v1.AppService"}
		],
		"timeout": "120s",
		"retryPolicy": {
			"maxAttempts": 4,
			"initialBackoff": "0.1s",
			"maxBackoff": "2s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// roundRobin is the same for names that may stand for several gateways: calls go round among all that they stand for.
// A plain HOST:PORT is one gateway, and one connection, which is cheaper where the gateway has several processes.
var roundRobin = `{"loadBalancingConfig": [{"round_robin": {}}],` + serviceConfig[1:]

func serviceConfigOf(address string) string {
	if strings.HasPrefix(address, "dns:") {
		return roundRobin
	}
	return serviceConfig
}

// dial prepares a connection, which is made with the first request.
func dial(s *settings) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithUserAgent("sessiongateway-go/" + Version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDefaultServiceConfig(serviceConfigOf(s.address)),
		// Otherwise a record of the name service could say what is repeated.
		grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(sendingWatcher{}),
		// Idle connections stay: renewals come every few seconds, and the next call is not to wait for a handshake.
		grpc.WithIdleTimeout(0),
		// A gateway that was restarted should be found again within seconds; gRPC's own limit is two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		// Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 330 * time.Second, Timeout: 20 * time.Second}),
	}
	if s.encrypted {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(s.tls)))
	} else {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if s.apiKey != "" {
		if strings.ContainsFunc(s.apiKey, func(r rune) bool { return r < ' ' || r > '~' }) {
			// gRPC would refuse it too, but with the key in its message.
			return nil, usage("the API key holds characters that cannot be sent; is there a line break at its end?")
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer(s.apiKey)))
	}
	conn, err := grpc.NewClient(s.address, append(options, s.dial...)...)
	if err != nil {
		return nil, usage("%v", err)
	}
	return conn, nil
}

// bearer sends an API key.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false because a gateway on the same machine, or behind a proxy there, needs no TLS.
func (bearer) RequireTransportSecurity() bool { return false }

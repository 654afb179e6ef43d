package sessiongateway

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// fakeGateway answers as a test tells it to, over connections in memory: inside of a synctest bubble all waits are in
// virtual time.
type fakeGateway struct {
	pb.UnimplementedSessionServiceServer
	pb.UnimplementedAppServiceServer

	run       func(context.Context, *pb.RunRequest) (*pb.RunResponse, error)
	runStream func(*pb.RunRequest, grpc.ServerStreamingServer[pb.RunStreamResponse]) error
	keepalive func(keepaliveServer) error
	watch     func(*pb.WatchSessionsRequest, grpc.ServerStreamingServer[pb.WatchSessionsResponse]) error
	get       func(context.Context, *pb.GetSessionRequest) (*pb.GetSessionResponse, error)
	list      func(context.Context, *pb.ListSessionsRequest) (*pb.ListSessionsResponse, error)
	end       func(context.Context, *pb.EndSessionRequest) (*pb.EndSessionResponse, error)
	app       func(context.Context, *pb.GetAppRequest) (*pb.GetAppResponse, error)

	mu       sync.Mutex
	dialled  int
	listener *bufconn.Listener
	server   *grpc.Server
}

type keepaliveServer = grpc.BidiStreamingServer[pb.StreamKeepaliveRequest, pb.StreamKeepaliveResponse]

func (f *fakeGateway) Run(ctx context.Context, request *pb.RunRequest) (*pb.RunResponse, error) {
	return f.run(ctx, request)
}

func (f *fakeGateway) RunStream(
	request *pb.RunRequest, stream grpc.ServerStreamingServer[pb.RunStreamResponse],
) error {
	return f.runStream(request, stream)
}

// StreamKeepalive stays silent when a test says nothing of it: whoever opens a session renews it, test or not.
func (f *fakeGateway) StreamKeepalive(stream keepaliveServer) error {
	if f.keepalive != nil {
		return f.keepalive(stream)
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

func (f *fakeGateway) WatchSessions(
	request *pb.WatchSessionsRequest, stream grpc.ServerStreamingServer[pb.WatchSessionsResponse],
) error {
	return f.watch(request, stream)
}

func (f *fakeGateway) GetSession(ctx context.Context, request *pb.GetSessionRequest) (*pb.GetSessionResponse, error) {
	return f.get(ctx, request)
}

func (f *fakeGateway) ListSessions(
	ctx context.Context, request *pb.ListSessionsRequest,
) (*pb.ListSessionsResponse, error) {
	return f.list(ctx, request)
}

func (f *fakeGateway) EndSession(ctx context.Context, request *pb.EndSessionRequest) (*pb.EndSessionResponse, error) {
	return f.end(ctx, request)
}

func (f *fakeGateway) GetApp(ctx context.Context, request *pb.GetAppRequest) (*pb.GetAppResponse, error) {
	return f.app(ctx, request)
}

// start lets the gateway listen, again if it was stopped.
func (f *fakeGateway) start() {
	listener, server := bufconn.Listen(1<<20), grpc.NewServer(grpc.MaxRecvMsgSize(maxAnswer))
	pb.RegisterSessionServiceServer(server, f)
	pb.RegisterAppServiceServer(server, f)
	f.mu.Lock()
	f.listener, f.server = listener, server
	f.mu.Unlock()
	go server.Serve(listener)
}

// stop breaks all connections and makes no new ones.
func (f *fakeGateway) stop() {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	server.Stop()
}

func (f *fakeGateway) dial(ctx context.Context, _ string) (net.Conn, error) {
	f.mu.Lock()
	f.dialled++
	listener := f.listener
	f.mu.Unlock()
	return listener.DialContext(ctx)
}

// dials returns how often somebody has tried to connect.
func (f *fakeGateway) dials() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dialled
}

// client returns a client of a gateway that was started. Both end with the test.
func (f *fakeGateway) client(t *testing.T, options ...Option) *Client {
	t.Helper()
	pacing := defaultPacing()
	pacing.random = func() float64 { return 1 }
	options = append([]Option{
		WithAddress("passthrough:///fake"), WithAPIKey(""), withPacing(pacing), WithDialOptions(grpc.WithContextDialer(f.dial)),
	}, options...)
	client, err := NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	f.start()
	t.Cleanup(func() {
		client.Close()
		f.stop()
	})
	return client
}

// refusal makes the status of an error as gateways do.
func refusal(t *testing.T, code codes.Code, detail *pb.ErrorDetail, more ...protoadapt.MessageV1) error {
	t.Helper()
	st, err := status.New(code, detail.GetMessage()).WithDetails(append(more, protoadapt.MessageV1Of(detail))...)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// draining is the refusal of a gateway that shuts down.
func draining(t *testing.T, after time.Duration) error {
	t.Helper()
	detail := &pb.ErrorDetail{
		Code:     pb.ErrorCode_ERROR_CODE_GATEWAY_DRAINING,
		Message:  "the gateway is shutting down",
		RunState: pb.RunState_RUN_STATE_NOT_STARTED,
	}
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
	return refusal(t, codes.Unavailable, detail, protoadapt.MessageV1Of(retry))
}

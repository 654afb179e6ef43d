// Command echo is a yardstick: what grpc-go makes of the gateway's messages when nothing is done for them. It serves
// SessionService.Run, whose output is its input, with a session filled in as a gateway would.
//
// It prints "listening on 127.0.0.1:PORT" and ends when standard input is closed. With a path as its argument it listens
// on that Unix socket, and prints "listening on unix:PATH".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// maxMessage is how many bytes a request may have, as in the gateway: 4 MiB of input and something around it.
const maxMessage = 5 << 20

func main() {
	if err := serve(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers until stop is closed. It returns an error if it cannot listen.
func serve(arguments []string, stop io.Reader, out io.Writer) error {
	listener, name, err := listen(arguments)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	pb.RegisterSessionServiceServer(server, &echo{})
	go func() {
		_, _ = io.Copy(io.Discard, stop)
		server.Stop()
	}()
	fmt.Fprintf(out, "listening on %s\n", name)
	if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// listen returns a listener and its name as a target of gRPC.
func listen(arguments []string) (net.Listener, string, error) {
	if len(arguments) > 0 {
		listener, err := net.Listen("unix", arguments[0])
		return listener, "unix:" + arguments[0], err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return listener, listener.Addr().String(), nil
}

// echo answers calls with their own input.
type echo struct {
	pb.UnimplementedSessionServiceServer
	calls atomic.Int64
}

// sessionTimeout is that of the sessions which are shown.
const sessionTimeout = time.Minute

// Run returns input_json as output_json, and the session that was named; the input as a Struct is returned as one.
func (e *echo) Run(_ context.Context, request *pb.RunRequest) (*pb.RunResponse, error) {
	calls, now := e.calls.Add(1), time.Now()
	response := &pb.RunResponse{
		SessionId: request.GetSession(),
		CallId:    fmt.Sprintf("call_%020d", calls),
		Session: &pb.Session{
			Id: request.GetSession(), App: request.GetApp(), Version: "a4f6d30ac774",
			Status: pb.SessionStatus_SESSION_STATUS_ACTIVE, WorkerId: "wrk_fgytw3x4zajsdllw",
			SessionTimeout: int32(sessionTimeout.Seconds()), CallCount: calls,
			CreatedAt: timestamppb.New(now), LastCallAt: timestamppb.New(now),
			ExpiresAt: timestamppb.New(now.Add(sessionTimeout)), ExpiresIn: durationpb.New(sessionTimeout),
		},
	}
	switch payload := request.GetPayload().(type) {
	case *pb.RunRequest_InputJson:
		response.Result = &pb.RunResponse_OutputJson{OutputJson: payload.InputJson}
	case *pb.RunRequest_Input:
		response.Result = &pb.RunResponse_Output{Output: payload.Input}
	}
	return response, nil
}

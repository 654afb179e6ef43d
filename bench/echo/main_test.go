package main

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestItAnswersUntilItsInputIsClosed(t *testing.T) {
	for name, arguments := range map[string][]string{"TCP": nil, "Unix": {filepath.Join(t.TempDir(), "socket")}} {
		t.Run(name, func(t *testing.T) {
			stop, stopping := io.Pipe()
			out, printed := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- serve(arguments, stop, printed) }()
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			run(t, strings.TrimPrefix(strings.TrimSpace(line), "listening on "))
			stopping.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// run calls once and compares the answer.
func run(t *testing.T, target string) {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const input, session = `{"key":"value"}`, "sess_fgytw3x4zajsdllwlyz64klrma"
	answer, err := pb.NewSessionServiceClient(conn).Run(context.Background(), &pb.RunRequest{
		App: "echo", Session: session, Payload: &pb.RunRequest_InputJson{InputJson: []byte(input)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(answer.GetOutputJson()) != input || answer.GetSession().GetId() != session {
		t.Errorf("the answer is %v", answer)
	}
}

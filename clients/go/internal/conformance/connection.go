package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// beginnings lets each client tell when a command's request has been written.
var beginnings = grpc.WithStatsHandler(beginningWatcher{})

// tlsFile names files in PEM.
type tlsFile struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func (t *tlsFile) config() (*tls.Config, error) {
	authority, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, errors.New("no certificate in " + t.CA)
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// rawRun sends a RunRequest over the bare stub, without the client.
func rawRun(ctx context.Context, f *fields) (object, error) {
	var request pb.RunRequest
	if err := proto.Unmarshal(f.Request, &request); err != nil {
		return nil, errUnsupported
	}
	conn, err := grpc.NewClient(f.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), beginnings)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if f.APIKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+f.APIKey)
	}
	response, err := pb.NewSessionServiceClient(conn).Run(ctx, &request, grpc.WaitForReady(true))
	if err != nil {
		return nil, rawError{err}
	}
	encoded, err := proto.Marshal(response)
	return object{"response": encoded}, err
}

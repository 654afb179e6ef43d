package sessiongateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// certified returns a certificate that is its own authority, for the server and for the client.
func certified(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(encoded)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{encoded}, PrivateKey: key}, pool
}

func TestTLSIsCheckedOnBothSidesAndTheKeyGoesWithEachRequest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pair, trusted := certified(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	pb.RegisterSessionServiceServer(server, &fakeGateway{run: func(ctx context.Context, _ *pb.RunRequest) (*pb.RunResponse, error) {
		sent, _ := metadata.FromIncomingContext(ctx)
		return &pb.RunResponse{CallId: sent.Get("authorization")[0]}, nil
	}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	for name, each := range map[string]struct {
		security Option
		works    bool
	}{
		"both certified":   {WithTLS(&tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}}), true},
		"no client's":      {WithTLS(&tls.Config{RootCAs: trusted}), false},
		"server untrusted": {WithTLS(&tls.Config{Certificates: []tls.Certificate{pair}}), false},
		"plain text":       {func(*settings) {}, false},
	} {
		client, err := NewClient(WithAddress(listener.Addr().String()), WithAPIKey("secret"), each.security)
		if err != nil {
			t.Fatal(err)
		}
		result, err := client.Run(ctx, RunRequest{App: "kv"})
		if each.works && (err != nil || result.CallID != "Bearer secret") {
			t.Errorf("%s: %v, %v", name, result, err)
		}
		if !each.works && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
}

func TestTLSWithoutAConfigurationIsNotPlainText(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	called := false
	server := grpc.NewServer()
	pb.RegisterSessionServiceServer(server, &fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
		called = true
		return &pb.RunResponse{}, nil
	}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()
	client, err := NewClient(WithAddress(listener.Addr().String()), WithAPIKey("secret"), WithTLS(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Run(ctx, RunRequest{App: "kv"}); !errors.Is(err, ErrUnavailable) || called {
		t.Error("the key went out in plain text:", err)
	}
}

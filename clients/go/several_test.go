package sessiongateway_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

// hosts are addresses of this machine: all of 127.0.0.0/8 are. A name stands for addresses only, so the port of the
// gateways there is one.
var hosts = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}

const severalName = "gateways.test"

// serveName answers name servers' questions for severalName with hosts, and returns its own address.
func serveName(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		question := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo(answerTo(question[:n]), from)
		}
	}()
	return socket.LocalAddr().String()
}

// answerTo answers a question of RFC 1035 with records that are not to be kept.
func answerTo(question []byte) []byte {
	const head, kindA, answered = 12, 1, 0x8580
	end := head
	for question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5
	found := hosts
	if binary.BigEndian.Uint16(question[end-4:]) != kindA {
		found = nil
	}
	answer := append([]byte{}, question[:2]...)
	for _, field := range []uint16{answered, 1, uint16(len(found)), 0, 0} {
		answer = binary.BigEndian.AppendUint16(answer, field)
	}
	answer = append(answer, question[head:end]...)
	for _, host := range found {
		// The name of the question, an address, of the internet, for 0 seconds, in 4 bytes.
		answer = append(answer, 0xC0, head, 0, kindA, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, net.ParseIP(host).To4()...)
	}
	return answer
}

// severalGateways starts a gateway at each of the hosts, and returns them with their port. Each has records of its own,
// so that the sessions of each tell how many calls have come to it.
func severalGateways(t *testing.T) ([]*gateway, string) {
	t.Helper()
	var gateways []*gateway
	port := "0"
	for _, host := range hosts {
		dataDir, err := os.MkdirTemp("", "sgw")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dataDir) })
		g := &gateway{dataDir: dataDir, address: net.JoinHostPort(host, port), drain: "end"}
		if err := g.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.stop() })
		_, port, _ = net.SplitHostPort(g.address)
		gateways = append(gateways, g)
	}
	return gateways, port
}

// clientAt returns a client without a key: all such are one caller, which sees all of their sessions.
func clientAt(t *testing.T, address string) *sg.Client {
	t.Helper()
	client, err := sg.NewClient(sg.WithAddress(address), sg.WithAPIKey(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestCallsGoRoundAmongAllGatewaysOfANameAndGoOnWhenOneDies(t *testing.T) {
	gateways, port := severalGateways(t)
	name := serveName(t)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	client := clientAt(t, fmt.Sprintf("dns://%s/%s:%s", name, severalName, port))
	var single []*sg.Client
	for _, g := range gateways {
		single = append(single, clientAt(t, g.address))
	}
	open := func() error {
		_, err := client.Run(ctx, sg.RunRequest{App: "kv", Function: "keys", Session: "new"})
		return err
	}
	opened := func() []int {
		counts := make([]int, len(single))
		for i, each := range single {
			for _, err := range each.Sessions.List(ctx, sg.ListSessionsOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				counts[i]++
			}
		}
		return counts
	}
	for slices.Min(opened()) == 0 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	before := opened()
	for range 9 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	for i, count := range opened() {
		if count != before[i]+3 {
			t.Errorf("of nine calls %d came to the gateway at %s", count-before[i], hosts[i])
		}
	}

	// A gateway that is killed leaves its workers to the next one at its records, which ends them.
	_ = gateways[1].process.Process.Signal(syscall.SIGKILL)
	_ = gateways[1].process.Wait()
	cut := 0
	for range 12 {
		if _, err := client.Apps.Get(ctx, "kv"); err != nil {
			t.Error("a request that is safe to repeat is sent to another gateway:", err)
		}
		if err := open(); err != nil {
			cut++
		}
	}
	if cut > 1 {
		t.Errorf("%d of 12 calls failed, where one can have been on its way to the gateway that died", cut)
	}

	if err := gateways[1].start(); err != nil {
		t.Fatal(err, strings.TrimSpace(gateways[1].log.String()))
	}
	for again := opened()[1]; opened()[1] == again; {
		if err := open(); err != nil {
			t.Fatal("a gateway that has come back:", err)
		}
	}
}

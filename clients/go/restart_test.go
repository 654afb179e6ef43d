package sessiongateway_test

import (
	"os"
	"testing"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func TestAClientOutlivesItsGatewayAndSoDoItsSessions(t *testing.T) {
	dataDir, err := os.MkdirTemp("", "sgw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dataDir) })
	g := &gateway{dataDir: dataDir, address: "127.0.0.1:0", drain: "keep"}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	running := true
	t.Cleanup(func() {
		if running {
			_ = g.stop()
		}
	})
	client, ctx := clientOf(t, g)
	watch, err := client.Sessions.Watch(ctx, sg.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	session := client.Session("kv", sg.WithKeepalive())
	if _, err := session.Call(ctx, "set_value", map[string]any{"key": "k", "value": 1}); err != nil {
		t.Fatal(err)
	}
	if event, err := watch.Next(ctx); err != nil || event.Kind != sg.EventCreated {
		t.Error(event, err)
	}

	running = false
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err = session.Call(ctx, "get_value", map[string]string{"key": "k"})
		if failure := failureOf(t, err, sg.ErrUnavailable); failure.RunState != sg.RunStateNotStarted {
			t.Errorf("%+v", failure)
		}
	}
	g.drain = "end"
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	running = true

	result, err := session.Call(ctx, "get_value", map[string]string{"key": "k"})
	if err != nil || string(result.Output) != `{"value":1,"found":true}` {
		t.Error(result, err)
	}
	renewals := client.Sessions.StreamKeepalive(session.ID())
	if event, err := renewals.Next(ctx); err != nil || event.Err != nil {
		t.Error(event, err)
	}
	renewals.Close()
	if _, err := session.End(ctx); err != nil {
		t.Error(err)
	}
	if event, err := watch.Next(ctx); err != nil || event.Kind != sg.EventEnded || event.Session.ID != session.ID() {
		t.Error(event, err)
	}
	if err := session.LostReason(); err != nil {
		t.Error("a gateway that is away for a moment is no loss:", err)
	}
}

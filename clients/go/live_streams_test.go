package sessiongateway_test

import (
	"errors"
	"testing"
	"time"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func TestAStreamReadsRowsAndEndsEarly(t *testing.T) {
	client, ctx := connected(t)
	sql := "WITH RECURSIVE n(i) AS (SELECT 9007199254740993 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
	session := client.Session("sql")
	defer session.End(ctx)
	stream := session.Stream(ctx, "rows", map[string]any{"sql": sql + " LIMIT 250"})
	rows := 0
	for part, err := range stream.All() {
		if err != nil {
			t.Fatal(err)
		}
		var batch struct{ Rows [][]int64 }
		if err := sg.Unmarshal(part, &batch); err != nil || batch.Rows[0][0] != int64(9007199254740993+rows) {
			t.Fatal(string(part), err)
		}
		rows += len(batch.Rows)
	}
	if result, err := stream.Result(); err != nil || rows != 250 || result.SessionID != session.ID() || session.ID() == "" {
		t.Error(rows, result, err)
	}

	endless := session.Stream(ctx, "rows", map[string]any{"sql": sql})
	for range endless.All() {
		break
	}
	// Its turn comes only once the endless one has given way.
	if _, err := session.Call(ctx, "tables", nil); err != nil {
		t.Error(err)
	}
}

func TestAWatchTellsOfASessionFromItsBeginningToItsEnd(t *testing.T) {
	client, ctx := connected(t)
	watch, err := client.Sessions.Watch(ctx, sg.WatchOptions{App: "kv"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	beginning := watch.ResumeToken()
	session := client.Session("kv")
	if _, err := session.Call(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := session.End(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := client.Sessions.Watch(ctx, sg.WatchOptions{App: "kv", ResumeToken: beginning})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, each := range []*sg.Watch{watch, again} {
		for _, kind := range []sg.EventKind{sg.EventCreated, sg.EventEnded} {
			event, err := each.Next(ctx)
			if err != nil || event.Kind != kind || event.Session.ID != session.ID() || event.OccurredAt.IsZero() {
				t.Error(event, err)
			}
		}
	}
	_, err = client.Sessions.Watch(ctx, sg.WatchOptions{ResumeToken: "not one"})
	if failure := failureOf(t, err, sg.ErrInvalidRequest); failure.FieldViolations[0].Field != "resume_token" {
		t.Errorf("%+v", failure)
	}
}

func TestKeepaliveHoldsASessionBeyondItsTimeoutAndTellsOfItsEnd(t *testing.T) {
	client, ctx := connected(t)
	result, err := client.Run(ctx, sg.RunRequest{App: "kv", Session: sg.NewSession, SessionTimeout: sg.Ptr(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	session := client.Session("kv", sg.WithSessionTimeout(time.Second), sg.WithKeepalive())
	defer session.End(ctx)
	if _, err := session.Call(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
	stream := client.Sessions.StreamKeepalive(result.SessionID)
	defer stream.Close()
	first, last := result.Session.ExpiresAt, result.Session.ExpiresAt
	for last.Sub(first) <= 2*time.Second {
		event, err := stream.Next(ctx)
		if err != nil || event.Err != nil {
			t.Fatal(event, err)
		}
		last = event.Session.ExpiresAt
	}
	if _, err := session.Call(ctx, "", nil); err != nil {
		t.Error("a session with keepalive has expired:", err)
	}
	for _, id := range []string{result.SessionID, session.ID()} {
		if _, err := client.Sessions.End(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	for event, err := range stream.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Err != nil && !errors.Is(event.Err, sg.ErrSessionEnded) {
			t.Error(event.Err)
		}
	}
	select {
	case <-session.Lost():
		if failure := failureOf(t, session.LostReason(), sg.ErrSessionEnded); failure.EndReason != sg.EndedByCaller {
			t.Errorf("%+v", failure)
		}
	case <-ctx.Done():
		t.Error("the handle never heard of its loss")
	}
}

// Command example plays with the apps of `make serve`: it keeps a value in a session, streams the rows of a query, lists
// what there is, and shows what an error tells.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	sessiongateway "github.com/sessiongateway/sessiongateway/clients/go"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// SGW_ADDRESS and SGW_API_KEY say where and who, unless options do.
	client, err := sessiongateway.NewClient(sessiongateway.WithTimeout(30 * time.Second))
	if err != nil {
		log.Fatal(err)
	}
	err = errors.Join(remember(ctx, client), stream(ctx, client), list(ctx, client), fail(ctx, client))
	client.Close()
	if err != nil {
		log.Fatal(err)
	}
}

// remember keeps a value in the memory of one worker from one call to the next.
func remember(ctx context.Context, client *sessiongateway.Client) error {
	session := client.Session("kv", sessiongateway.WithSessionTimeout(5*time.Minute), sessiongateway.WithKeepalive())
	defer session.Close()
	if _, err := session.Call(ctx, "set_value", map[string]any{"key": "a", "value": int64(9007199254740993)}); err != nil {
		return err
	}
	result, err := session.Call(ctx, "get_value", map[string]any{"key": "a"})
	if err != nil {
		return err
	}
	var output struct {
		Value int64
		Found bool
	}
	if err := result.Decode(&output); err != nil {
		return err
	}
	fmt.Println(session.ID(), "remembers", output.Value)
	return nil
}

// stream reads the rows of a query as they are computed.
func stream(ctx context.Context, client *sessiongateway.Client) error {
	const squares = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 250) SELECT i * i FROM n"
	rows := client.RunStream(ctx, sessiongateway.RunRequest{
		App: "sql", Function: "rows", Input: map[string]any{"sql": squares},
	})
	for part, err := range rows.All() {
		if err != nil {
			return err
		}
		var batch struct{ Rows [][]int }
		if err := sessiongateway.Unmarshal(part, &batch); err != nil {
			return err
		}
		fmt.Println(len(batch.Rows), "rows, up to", batch.Rows[len(batch.Rows)-1][0])
	}
	return nil
}

// list shows the newest sessions.
func list(ctx context.Context, client *sessiongateway.Client) error {
	shown := 0
	for info, err := range client.Sessions.List(ctx, sessiongateway.ListSessionsOptions{PageSize: 5}) {
		if err != nil {
			return err
		}
		fmt.Println(info.ID, info.App, info.Status, info.EndReason, info.CallCount)
		if shown++; shown == 5 {
			break
		}
	}
	return nil
}

// fail shows an error of the app, which says whether the call ran.
func fail(ctx context.Context, client *sessiongateway.Client) error {
	_, err := client.Run(ctx, sessiongateway.RunRequest{
		App: "interpreter", Function: "read_file", Input: map[string]string{"path": "missing.txt"},
	})
	var failure *sessiongateway.Error
	if !errors.As(err, &failure) || !errors.Is(err, sessiongateway.ErrAppError) {
		return fmt.Errorf("reading a file that is missing: %w", err)
	}
	fmt.Println(failure.Code, failure.RunState, failure.AppFailure.Type)
	return nil
}

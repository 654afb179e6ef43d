package main

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// beginning is over when a command has come so far that the next one may begin.
type beginning struct {
	done chan struct{}
	once sync.Once
}

type beginningKey struct{}

func withBeginning(ctx context.Context) (context.Context, *beginning) {
	b := &beginning{done: make(chan struct{})}
	return context.WithValue(ctx, beginningKey{}, b), b
}

func (b *beginning) over() { b.once.Do(func() { close(b.done) }) }

// beginningWatcher notes that the request of a command has been written to its connection.
type beginningWatcher struct{}

func (beginningWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (beginningWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutPayload); !ok {
		return
	}
	if b, ok := ctx.Value(beginningKey{}).(*beginning); ok {
		b.over()
	}
}

func (beginningWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (beginningWatcher) HandleConn(context.Context, stats.ConnStats) {}

package main

import (
	"context"
	"errors"
	"io"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

// streamOpen gives the stream a context of its own: it outlives the command, and its first step sends it.
func (c *commands) streamOpen(_ context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(context.Background())
	context.AfterFunc(ctx, cancel)
	c.streams.put(f.Stream, client.RunStream(ctx, f.runRequest()))
	c.finished.drop(f.Stream)
	return object{}, nil
}

func (c *commands) streamNext(ctx context.Context, f *fields) (object, error) {
	if finished, _ := c.finished.get(f.Stream); finished {
		return object{"end": true}, nil
	}
	stream, err := c.streams.get(f.Stream)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = stream.Close() })()
	part, err := stream.Next()
	if errors.Is(err, io.EOF) {
		c.finished.put(f.Stream, true)
		result, err := stream.Result()
		return object{"result": resultOf(result)}, err
	}
	return object{"partial": string(part)}, err
}

func (c *commands) streamClose(_ context.Context, f *fields) (object, error) {
	stream, err := c.streams.get(f.Stream)
	if err != nil {
		return nil, err
	}
	return object{}, stream.Close()
}

func (c *commands) watchOpen(ctx context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	watch, err := client.Sessions.Watch(ctx, sg.WatchOptions{ResumeToken: f.ResumeToken, App: f.App})
	if err != nil {
		return nil, err
	}
	c.watches.put(f.Watch, watch)
	return object{}, nil
}

func (c *commands) watchNext(ctx context.Context, f *fields) (object, error) {
	watch, err := c.watches.get(f.Watch)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(ctx)
	defer cancel()
	event, err := watch.Next(ctx)
	if err != nil {
		return waited(ctx, err)
	}
	return object{"event": event.Kind, "session": sessionOf(event.Session), "resume_token": event.ResumeToken}, nil
}

func (c *commands) watchClose(_ context.Context, f *fields) (object, error) {
	watch, err := c.watches.get(f.Watch)
	if err != nil {
		return nil, err
	}
	err = watch.Close()
	return object{"resume_token": watch.ResumeToken()}, err
}

func (c *commands) keepaliveOpen(_ context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	c.keepalives.put(f.Stream, client.Sessions.StreamKeepalive(f.SessionIDs...))
	return object{}, nil
}

func (c *commands) keepaliveNext(ctx context.Context, f *fields) (object, error) {
	stream, err := c.keepalives.get(f.Stream)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(ctx)
	defer cancel()
	event, err := stream.Next(ctx)
	switch {
	case err != nil:
		return waited(ctx, err)
	case event.Err != nil:
		return object{"session_id": event.SessionID, "error": inBand(event.Err)}, nil
	default:
		return object{"session_id": event.SessionID, "session": sessionOf(event.Session)}, nil
	}
}

func (c *commands) keepaliveClose(_ context.Context, f *fields) (object, error) {
	stream, err := c.keepalives.get(f.Stream)
	if err != nil {
		return nil, err
	}
	return object{}, stream.Close()
}

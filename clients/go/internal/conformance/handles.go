package main

import (
	"context"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func (c *commands) handleOpen(_ context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	var options []sg.SessionOption
	if f.SessionTimeout != nil {
		options = append(options, sg.WithSessionTimeout(seconds(*f.SessionTimeout)))
	}
	if f.Keepalive {
		options = append(options, sg.WithKeepalive())
	}
	c.handles.put(f.Handle, client.Session(f.App, options...))
	return object{}, nil
}

func (c *commands) handleCall(ctx context.Context, f *fields) (object, error) {
	session, err := c.handles.get(f.Handle)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(ctx)
	defer cancel()
	result, err := session.Call(ctx, f.Function, f.input(), sg.WithRequestID(f.RequestID))
	return resultOf(result), err
}

func (c *commands) handleLost(ctx context.Context, f *fields) (object, error) {
	session, err := c.handles.get(f.Handle)
	if err != nil {
		return nil, err
	}
	limited, cancel := f.limit(ctx)
	defer cancel()
	select {
	case <-session.Lost():
		return object{"error": inBand(session.LostReason())}, nil
	case <-limited.Done():
		return object{"timeout": true}, ctx.Err()
	}
}

func (c *commands) handleClose(ctx context.Context, f *fields) (object, error) {
	session, err := c.handles.get(f.Handle)
	if err != nil {
		return nil, err
	}
	info, err := session.End(ctx)
	return object{"session": sessionOf(info)}, err
}

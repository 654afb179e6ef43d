package main

import (
	"context"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func (c *commands) get(ctx context.Context, f *fields) (object, error) {
	return c.one(ctx, f, func(client *sg.Client) func(context.Context, string) (*sg.SessionInfo, error) {
		return client.Sessions.Get
	})
}

func (c *commands) keepalive(ctx context.Context, f *fields) (object, error) {
	return c.one(ctx, f, func(client *sg.Client) func(context.Context, string) (*sg.SessionInfo, error) {
		return client.Sessions.Keepalive
	})
}

func (c *commands) end(ctx context.Context, f *fields) (object, error) {
	return c.one(ctx, f, func(client *sg.Client) func(context.Context, string) (*sg.SessionInfo, error) {
		return client.Sessions.End
	})
}

// one does something with one session.
func (c *commands) one(
	ctx context.Context, f *fields, method func(*sg.Client) func(context.Context, string) (*sg.SessionInfo, error),
) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(ctx)
	defer cancel()
	info, err := method(client)(ctx, f.SessionID)
	return object{"session": sessionOf(info)}, err
}

func (c *commands) list(ctx context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	which := sg.ListSessionsOptions{Status: sg.Status(f.Status), App: f.App, PageSize: f.PageSize}
	sessions := []object{}
	for info, err := range client.Sessions.List(ctx, which) {
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, sessionOf(info))
	}
	return object{"sessions": sessions}, nil
}

func (c *commands) getApp(ctx context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	app, err := client.Apps.Get(ctx, f.App)
	if err != nil {
		return nil, err
	}
	functions := []object{}
	for _, function := range app.Functions {
		functions = append(functions, object{"name": function.Name, "streams": function.Streams})
	}
	return object{"app": object{"name": app.Name, "version": app.Version, "functions": functions}}, nil
}

func (c *commands) listApps(ctx context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	apps := []object{}
	for app, err := range client.Apps.List(ctx, sg.ListAppsOptions{PageSize: f.PageSize}) {
		if err != nil {
			return nil, err
		}
		apps = append(apps, object{"name": app.Name, "version": app.Version})
	}
	return object{"apps": apps}, nil
}

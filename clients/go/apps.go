package sessiongateway

import (
	"context"
	"encoding/json"
	"iter"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// Apps tells what is deployed. It is made by [NewClient].
type Apps struct{ client *Client }

// App is an app in one version.
type App struct {
	// Name is the app's name, with its namespace if it has one.
	Name string
	// Version is the version that this describes.
	Version string
	// CurrentVersion is the version that the name alone means.
	CurrentVersion string
	// Versions are all that are deployed, the newest first.
	Versions []string
	// DefaultFunction is what a run without a function calls; empty if there is none.
	DefaultFunction string
	// Functions are what can be called. Filled in by [Apps.Get] only.
	Functions []Function
	// Concurrency is how many calls of one session run at a time.
	Concurrency int
	// IdleWorkerIDs are the workers that a new session may name. Filled in by [Apps.Get] only.
	IdleWorkerIDs []string
}

// Function is something that can be called. Schemas are JSON Schema (2020-12).
type Function struct {
	// Name is what to call it by.
	Name string
	// Description is what the app's author wrote about it.
	Description string
	// InputSchema describes its input.
	InputSchema json.RawMessage
	// OutputSchema describes its result.
	OutputSchema json.RawMessage
	// Streams says that it is a generator, which sends partial outputs before its result.
	Streams bool
	// PartialSchema describes a partial output; nil unless it streams.
	PartialSchema json.RawMessage
}

// Get describes one version of an app, "name" or "name@version", with its functions and their schemas.
//
// It returns ErrAppNotFound, ErrVersionNotFound, or ErrAppStartFailed if its code cannot be imported.
func (a *Apps) Get(ctx context.Context, app string) (*App, error) {
	ctx, cancel := a.client.limit(ctx)
	defer cancel()
	t := a.client.transport
	response, err := send(ctx, t, t.apps.GetApp, &pb.GetAppRequest{App: app})
	if err != nil {
		return nil, err
	}
	if response.GetApp() == nil {
		return nil, incomplete("app")
	}
	return appOf(response.GetApp()), nil
}

// ListAppsOptions says how to list apps.
type ListAppsOptions struct {
	// PageSize is how many to fetch at a time, 1 to 1000. 0: 50.
	PageSize int
}

// List walks over the deployed apps by name, over all pages; without their functions. An error is the last step.
func (a *Apps) List(ctx context.Context, how ListAppsOptions) iter.Seq2[*App, error] {
	return pages(func(token string) ([]*App, string, error) {
		size, err := pageSize(how.PageSize)
		if err != nil {
			return nil, "", err
		}
		ctx, cancel := a.client.limit(ctx)
		defer cancel()
		t := a.client.transport
		response, err := send(ctx, t, t.apps.ListApps, &pb.ListAppsRequest{PageSize: size, PageToken: token})
		return mapped(response.GetApps(), appOf), response.GetNextPageToken(), err
	})
}

func appOf(app *pb.App) *App {
	return &App{
		Name:            app.GetName(),
		Version:         app.GetVersion(),
		CurrentVersion:  app.GetCurrentVersion(),
		Versions:        app.GetVersions(),
		DefaultFunction: app.GetDefaultFunction(),
		Functions:       mapped(app.GetFunctions(), functionOf),
		Concurrency:     int(app.GetConcurrency()),
		IdleWorkerIDs:   app.GetIdleWorkerIds(),
	}
}

func functionOf(function *pb.Function) Function {
	schema := func(text string) json.RawMessage {
		if text == "" {
			return nil
		}
		return json.RawMessage(text)
	}
	return Function{
		Name:          function.GetName(),
		Description:   function.GetDescription(),
		InputSchema:   schema(function.GetInputSchema()),
		OutputSchema:  schema(function.GetOutputSchema()),
		Streams:       function.GetStreams(),
		PartialSchema: schema(function.GetPartialSchema()),
	}
}

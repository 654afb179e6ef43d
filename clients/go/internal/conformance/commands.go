package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

// errUnsupported says that there is no such operation, or that the command is malformed.
var errUnsupported = errors.New("UNSUPPORTED_COMMAND")

type object map[string]any

// fields are those of all commands; each operation has its own of them.
type fields struct {
	Client         string   `json:"client"`
	Address        string   `json:"address"`
	APIKey         string   `json:"api_key"`
	TLS            *tlsFile `json:"tls"`
	Timeout        *float64 `json:"timeout"`
	Params         params   `json:"params"`
	Input          *string  `json:"input"`
	SessionID      string   `json:"session_id"`
	SessionIDs     []string `json:"session_ids"`
	SessionTimeout *float64 `json:"session_timeout"`
	Status         string   `json:"status"`
	App            string   `json:"app"`
	Function       string   `json:"function"`
	RequestID      string   `json:"request_id"`
	PageSize       int      `json:"page_size"`
	Stream         string   `json:"stream"`
	Watch          string   `json:"watch"`
	Handle         string   `json:"handle"`
	ResumeToken    string   `json:"resume_token"`
	Keepalive      bool     `json:"keepalive"`
	Request        []byte   `json:"request"`
}

type params struct {
	App               string   `json:"app"`
	Function          string   `json:"function"`
	Session           string   `json:"session"`
	SessionTimeout    *float64 `json:"session_timeout"`
	WorkerID          string   `json:"worker_id"`
	RequestID         string   `json:"request_id"`
	ExpectedCallCount *int64   `json:"expected_call_count"`
}

// commands are what can be done, with all that was opened by the names that it was given.
type commands struct {
	clients    named[*sg.Client]
	streams    named[*sg.RunStream]
	finished   named[bool]
	watches    named[*sg.Watch]
	keepalives named[*sg.KeepaliveStream]
	handles    named[*sg.Session]
	operations map[string]operation
}

type operation struct {
	do func(context.Context, *fields) (object, error)
	// sends says that the next command begins only after this one's request has been written.
	sends bool
}

func newCommands() *commands {
	c := new(commands)
	c.operations = map[string]operation{
		"connect":         {c.connect, true},
		"close":           {c.close, true},
		"run":             {c.run, true},
		"get":             {c.get, true},
		"keepalive":       {c.keepalive, true},
		"end":             {c.end, true},
		"list":            {c.list, true},
		"get_app":         {c.getApp, true},
		"list_apps":       {c.listApps, true},
		"stream_open":     {c.streamOpen, true},
		"stream_next":     {c.streamNext, true},
		"stream_close":    {c.streamClose, true},
		"watch_open":      {c.watchOpen, true},
		"watch_next":      {c.watchNext, false},
		"watch_close":     {c.watchClose, true},
		"keepalive_open":  {c.keepaliveOpen, true},
		"keepalive_next":  {c.keepaliveNext, false},
		"keepalive_close": {c.keepaliveClose, true},
		"handle_open":     {c.handleOpen, true},
		"handle_call":     {c.handleCall, true},
		"handle_lost":     {c.handleLost, false},
		"handle_close":    {c.handleClose, true},
		"raw_run":         {rawRun, true},
	}
	return c
}

// do does one command, and returns what is told of it.
func (c *commands) do(ctx context.Context, op string, line []byte, begun *beginning) (object, error) {
	operation, known := c.operations[op]
	if !known {
		return nil, errUnsupported
	}
	if !operation.sends {
		begun.over()
	}
	var f fields
	if err := json.Unmarshal(line, &f); err != nil {
		return nil, &sg.Error{Code: sg.ErrUsage, Message: err.Error()}
	}
	return operation.do(ctx, &f)
}

func (c *commands) closeAll() {
	for _, client := range c.clients.all() {
		client.Close()
	}
}

func (c *commands) connect(_ context.Context, f *fields) (object, error) {
	// The empty key is none, where leaving it out would mean that of the environment.
	options := []sg.Option{sg.WithAddress(f.Address), sg.WithAPIKey(f.APIKey), sg.WithDialOptions(beginnings)}
	if f.Timeout != nil {
		options = append(options, sg.WithTimeout(seconds(*f.Timeout)))
	}
	if f.TLS != nil {
		config, err := f.TLS.config()
		if err != nil {
			return nil, err
		}
		options = append(options, sg.WithTLS(config))
	}
	client, err := sg.NewClient(options...)
	if err != nil {
		return nil, err
	}
	c.clients.put(f.Client, client)
	return object{}, nil
}

func (c *commands) close(_ context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	c.clients.drop(f.Client)
	return object{}, client.Close()
}

func (c *commands) run(ctx context.Context, f *fields) (object, error) {
	client, err := c.clients.get(f.Client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := f.limit(ctx)
	defer cancel()
	result, err := client.Run(ctx, f.runRequest())
	return resultOf(result), err
}

func (f *fields) runRequest() sg.RunRequest {
	return sg.RunRequest{
		App:               f.Params.App,
		Function:          f.Params.Function,
		Input:             f.input(),
		Session:           f.Params.Session,
		SessionTimeout:    optionalSeconds(f.Params.SessionTimeout),
		WorkerID:          f.Params.WorkerID,
		RequestID:         f.Params.RequestID,
		ExpectedCallCount: f.Params.ExpectedCallCount,
	}
}

func (f *fields) input() any {
	if f.Input == nil {
		return nil
	}
	return json.RawMessage(*f.Input)
}

// limit gives a command its own timeout, if it has one.
func (f *fields) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.Timeout == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, seconds(*f.Timeout))
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

func optionalSeconds(number *float64) *time.Duration {
	if number == nil {
		return nil
	}
	return sg.Ptr(seconds(*number))
}

// waited tells how a wait for news ended, if it was not by news: by its own time or by the end of what was waited for.
func waited(ctx context.Context, err error) (object, error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return object{"timeout": true}, nil
	case errors.Is(err, io.EOF):
		return object{"end": true}, nil
	default:
		return nil, err
	}
}

// named are things by the names that they were given.
type named[Thing any] struct {
	mu     sync.Mutex
	things map[string]Thing
}

func (n *named[Thing]) put(name string, thing Thing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.things == nil {
		n.things = make(map[string]Thing)
	}
	n.things[name] = thing
}

func (n *named[Thing]) get(name string) (Thing, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	thing, has := n.things[name]
	if !has {
		return thing, &sg.Error{Code: sg.ErrUsage, Message: "nothing is open under the name " + name}
	}
	return thing, nil
}

func (n *named[Thing]) drop(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.things, name)
}

func (n *named[Thing]) all() []Thing {
	n.mu.Lock()
	defer n.mu.Unlock()
	var things []Thing
	for _, thing := range n.things {
		things = append(things, thing)
	}
	return things
}

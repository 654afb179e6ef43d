package sessiongateway

import (
	"context"
	"iter"
	"math"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// Sessions reads, lists, watches, renews and ends the caller's sessions. It is made by [NewClient].
type Sessions struct{ client *Client }

// Get returns a session as it is now, also a finished one. It does not extend the session's life.
//
// It returns ErrSessionNotFound if there is none with this id.
func (s *Sessions) Get(ctx context.Context, id string) (*SessionInfo, error) {
	ctx, cancel := s.client.limit(ctx)
	defer cancel()
	t := s.client.transport
	response, err := send(ctx, t, t.sessions.GetSession, &pb.GetSessionRequest{SessionId: id})
	if err != nil {
		return nil, err
	}
	return sessionIn(response)
}

// Keepalive lets a session's timeout begin anew, and returns the session.
//
// It returns ErrSessionNotFound, ErrSessionExpired or ErrSessionEnded if it is too late.
func (s *Sessions) Keepalive(ctx context.Context, id string) (*SessionInfo, error) {
	ctx, cancel := s.client.limit(ctx)
	defer cancel()
	t := s.client.transport
	response, err := send(ctx, t, t.sessions.Keepalive, &pb.KeepaliveRequest{SessionId: id})
	if err != nil {
		return nil, err
	}
	return sessionIn(response)
}

// End ends a session, releases its worker at once, and returns the session. A running call is cancelled. One that is
// finished stays as it is.
//
// It returns ErrSessionNotFound if there is none with this id.
func (s *Sessions) End(ctx context.Context, id string) (*SessionInfo, error) {
	ctx, cancel := s.client.limit(ctx)
	defer cancel()
	t := s.client.transport
	response, err := send(ctx, t, t.sessions.EndSession, &pb.EndSessionRequest{SessionId: id})
	if err != nil {
		return nil, err
	}
	return sessionIn(response)
}

// sessionIn returns the session of an answer that is about one.
func sessionIn(response interface{ GetSession() *pb.Session }) (*SessionInfo, error) {
	if response.GetSession() == nil {
		return nil, incomplete("session")
	}
	return sessionOf(response.GetSession()), nil
}

// ListSessionsOptions says which sessions to list. The zero value means all.
type ListSessionsOptions struct {
	// Status takes only sessions that are StatusActive, StatusEnded or StatusExpired.
	Status Status
	// App takes only sessions of this app, "name" or "name@version".
	App string
	// PageSize is how many to fetch at a time, 1 to 1000. 0: 50.
	PageSize int
}

// List walks over the caller's sessions, the newest first, over all pages. Each page is fetched when the walk gets to
// it; an error is the last step.
func (s *Sessions) List(ctx context.Context, which ListSessionsOptions) iter.Seq2[*SessionInfo, error] {
	return pages(func(token string) ([]*SessionInfo, string, error) {
		status, err := statusNumber(which.Status)
		if err != nil {
			return nil, "", err
		}
		size, err := pageSize(which.PageSize)
		if err != nil {
			return nil, "", err
		}
		ctx, cancel := s.client.limit(ctx)
		defer cancel()
		t := s.client.transport
		request := &pb.ListSessionsRequest{PageSize: size, PageToken: token, Status: status, App: which.App}
		response, err := send(ctx, t, t.sessions.ListSessions, request)
		return mapped(response.GetSessions(), sessionOf), response.GetNextPageToken(), err
	})
}

// pages walks once over all items of all pages. The function goes from a page's token, at first "", to its items and
// the next token, "" at the end.
func pages[Item any](fetch func(token string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		// A page may be empty and still not be the last: a filter is applied after the page was cut.
		for token, more := "", true; more; more = token != "" {
			items, next, err := fetch(token)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			token = next
		}
	}
}

func pageSize(size int) (int32, error) {
	if size > math.MaxInt32 || size < math.MinInt32 {
		return 0, usage("a page of %d is out of range", size)
	}
	return int32(size), nil
}

func statusNumber(status Status) (pb.SessionStatus, error) {
	if status == "" {
		return pb.SessionStatus_SESSION_STATUS_UNSPECIFIED, nil
	}
	for number := range pb.SessionStatus_name {
		if number != 0 && status == Status(word(pb.SessionStatus_name, "SESSION_STATUS_", number)) {
			return pb.SessionStatus(number), nil
		}
	}
	return 0, usage("%q is not a session status", status)
}

func mapped[From, To any](items []From, convert func(From) To) []To {
	converted := make([]To, len(items))
	for i, item := range items {
		converted[i] = convert(item)
	}
	return converted
}

// Package sessiongateway calls the apps of a Session Gateway.
//
// A session leases one worker process to one caller: what the app keeps in memory, files and connections is still
// there at the next call. [Client.Run] makes single calls, [Client.Session] returns a handle of a new session,
// [Client.RunStream] reads the partial outputs of a generator; [Client.Sessions] and [Client.Apps] look after what is
// there.
//
// Contexts carry deadlines and cancellation, and both reach the gateway. Every error that a request returns is an
// [*Error]; errors.Is compares it with a [Code], such as [ErrSessionExpired]:
//
//	var failure *sessiongateway.Error
//	switch {
//	case errors.Is(err, sessiongateway.ErrSessionExpired):
//		// its state is gone: nothing is recreated silently
//	case errors.As(err, &failure):
//		log.Println(failure.Code, failure.RunState, failure.RetryAfter)
//	}
//
// A run is never sent again because a connection broke. It is sent again, a few times and within the deadline, only
// when a gateway answers that it took nothing ([ErrGatewayDraining], [ErrStoreUnavailable]). Reading, listing,
// renewing and ending are repeated a few times when the gateway cannot be reached.
//
// All types are safe for use by several goroutines, except where their comment says otherwise.
package sessiongateway

// Version is the version of this module, as the gateway sees it in the user agent.
const Version = "0.1.0"

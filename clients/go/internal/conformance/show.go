package main

import (
	"context"
	"errors"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func resultOf(result *sg.RunResult) object {
	if result == nil {
		return nil
	}
	return object{
		"session_id": result.SessionID,
		"output":     string(result.Output),
		"call_id":    result.CallID,
		"session":    sessionOf(result.Session),
	}
}

func sessionOf(info *sg.SessionInfo) object {
	if info == nil {
		return nil
	}
	return object{
		"id":              info.ID,
		"app":             info.App,
		"version":         info.Version,
		"status":          info.Status,
		"end_reason":      orNull(string(info.EndReason)),
		"worker_id":       info.WorkerID,
		"session_timeout": int64(info.SessionTimeout / time.Second),
		"created_at":      moment(info.CreatedAt),
		"expires_at":      moment(info.ExpiresAt),
		"expires_in":      info.ExpiresIn.Seconds(),
		"last_call_at":    moment(info.LastCallAt),
		"ended_at":        moment(info.EndedAt),
		"call_count":      info.CallCount,
		"worker_exit":     exitOf(info.WorkerExit),
	}
}

// errorOf shows whatever a command failed with.
func errorOf(err error) object {
	var failure *sg.Error
	var raw rawError
	switch {
	case errors.As(err, &raw):
		return raw.show()
	case errors.Is(err, errUnsupported):
		return object{"code": err.Error()}
	case errors.As(err, &failure):
		shown := fieldsOf(failure)
		if failure.Code != sg.ErrUsage {
			shown["grpc_status"] = rpccode.Code(status.Code(failure)).String()
		}
		return shown
	case errors.Is(err, context.Canceled):
		return object{"code": sg.ErrCancelled, "message": err.Error(), "class": "context.Canceled"}
	default:
		return object{"code": "INTERNAL", "message": err.Error(), "class": "error"}
	}
}

// inBand shows why a session was lost, with which no gRPC status came.
func inBand(err error) object {
	shown := errorOf(err)
	shown["grpc_status"] = nil
	return shown
}

func fieldsOf(e *sg.Error) object {
	violations := [][2]string{}
	for _, each := range e.FieldViolations {
		violations = append(violations, [2]string{each.Field, each.Description})
	}
	metadata := e.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	shown := object{
		"code":             e.Code,
		"message":          e.Message,
		"grpc_status":      nil,
		"class":            className(e.Code),
		"session_id":       orNull(e.SessionID),
		"run_state":        orNull(string(e.RunState)),
		"retry_after":      nil,
		"http_status":      orNull(e.HTTPStatus),
		"end_reason":       orNull(string(e.EndReason)),
		"call_id":          orNull(e.CallID),
		"field_violations": violations,
		"app_failure":      nil,
		"worker_exit":      exitOf(e.WorkerExit),
		"session_app":      orNull(e.SessionApp),
		"requested_app":    orNull(e.RequestedApp),
		"error_id":         orNull(e.ErrorID),
		"metadata":         metadata,
	}
	if e.RetryAfter != 0 {
		shown["retry_after"] = e.RetryAfter.Seconds()
	}
	if failure := e.AppFailure; failure != nil {
		shown["app_failure"] = object{"type": failure.Type, "message": failure.Message, "traceback": failure.Traceback}
	}
	return shown
}

// className names the value that errors.Is compares with: Go has one error type and a constant for each code.
func className(code sg.Code) string {
	name := "Err"
	for part := range strings.SplitSeq(string(code), "_") {
		if part == "ID" {
			name += part
			continue
		}
		name += part[:1] + strings.ToLower(part[1:])
	}
	return name
}

func exitOf(exit *sg.WorkerExit) object {
	switch {
	case exit == nil:
		return nil
	case exit.ExitCode != nil:
		return object{"exit_code": *exit.ExitCode}
	case exit.Signal != nil:
		return object{"signal": *exit.Signal}
	default:
		return object{}
	}
}

func moment(moment time.Time) any {
	if moment.IsZero() {
		return nil
	}
	return moment.Format(time.RFC3339Nano)
}

func orNull[Value comparable](value Value) any {
	var zero Value
	if value == zero {
		return nil
	}
	return value
}

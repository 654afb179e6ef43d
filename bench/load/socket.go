package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets are used without the runtime's poller. It wakes and parks goroutines on the way, which costs more than all
// that this program does for a call.

// unixPrefix marks a target that is a path.
const unixPrefix = "unix:"

// dial returns a socket that is connected to the plan's target and never blocks.
func dial(plan *Plan) (int, error) {
	network, address := "tcp", plan.Target
	if path, ok := strings.CutPrefix(plan.Target, unixPrefix); ok {
		network, address = "unix", path
	}
	conn, err := net.DialTimeout(network, address, plan.timeout())
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	socket := -1
	controlErr := raw.Control(func(fd uintptr) { socket, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return socket, errors.Join(err, controlErr)
}

// closeSocket closes a descriptor, which fails only for one that is closed.
func closeSocket(socket int) { _ = unix.Close(socket) }

// read reads what there is, up to len(p) bytes: 0 if there is nothing. At the end of the stream err is io.EOF's text.
func read(socket int, p []byte) (int, error) {
	n, err := unix.Read(socket, p)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read: %w", err)
	case n == 0:
		return 0, errors.New("EOF")
	}
	return n, nil
}

// write writes what the socket takes, 0 bytes if it takes none.
func write(socket int, p []byte) (int, error) {
	n, err := unix.Write(socket, p)
	if err == unix.EAGAIN || err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), err
}

// poller waits for descriptors.
type poller struct {
	epoll  int
	events [64]unix.EpollEvent
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{epoll: epoll}, err
}

// add has wait tell when there is something to read; number stands for the descriptor.
func (p *poller) add(fd, number int) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)})
}

// writing has wait also tell, or no longer, when a descriptor takes something to write.
func (p *poller) writing(fd, number int, wanted bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)}
	if wanted {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &event)
}

// wait returns the events of descriptors that are ready, none after patience; valid until the next call.
func (p *poller) wait(patience time.Duration) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.epoll, p.events[:], int(patience.Milliseconds())+1)
	if err == unix.EINTR {
		return nil, nil
	}
	return p.events[:max(n, 0)], err
}

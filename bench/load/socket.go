package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sockets are used without the runtime's poller: it wakes and parks goroutines on the way, which costs more than all that
// this program does for a call. Nor does the runtime hear of system calls, since it would look again and again whether
// they have ended. When it has to stop the program meanwhile (to collect garbage), it sends a signal, which interrupts
// them.

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

// read reads what there is, up to len(p) bytes which is not 0: 0 if there is nothing. The end of the
// stream is an error.
func read(socket int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(socket), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, fmt.Errorf("read: %w", errno)
	case n == 0:
		return 0, errors.New("EOF")
	}
	return int(n), nil
}

// write writes what the socket takes of p, which is not empty: 0 bytes if it takes none.
func write(socket int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(socket), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, fmt.Errorf("write: %w", errno)
	}
	return int(n), nil
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

// wait returns the events of descriptors that are ready, or none, after patience at the latest; valid until the next
// call.
func (p *poller) wait(patience time.Duration) ([]unix.EpollEvent, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)),
		uintptr(len(p.events)), uintptr(patience.Milliseconds()+1), 0, 0)
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, errno
}

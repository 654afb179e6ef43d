"""What a process may do to others, and how it gives that up for good (docs/adr/0037-containment.md).

Through ctypes: the calls that matter here Python either does not have or has only in newer versions.
"""

import ctypes
import os

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38

_CLONE_NEWUSER = 0x10000000

_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def gain_nothing() -> None:
    """Have this process, and all that it will start, gain no rights from a program that it runs, such as a setuid one.

    Raises OSError.
    """
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def set_dumpable(dumpable: bool) -> None:
    """Say whether processes of the same user may look at the memory and environment of this one, and trace it."""
    _libc.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)


def become(user: int) -> None:
    """Be this user, and its group, for good, with no rights beyond. Raises OSError."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _set_capabilities(0)
    # The change of users closed this process to its own user, and so to the app itself.
    set_dumpable(True)


def enter_user_namespace(first: int, count: int) -> None:
    """Be the first of these users, with the right to become any of them and to signal their processes, and no other.

    A right inside a user namespace counts for what is in it alone, and in it are these users and nobody else: not root,
    either. For a process with one thread. Raises OSError.
    """
    # Only a process outside may say who is inside.
    ready, unshared = os.pipe2(os.O_CLOEXEC)
    outside = os.fork()
    if outside == 0:
        os.close(unshared)
        _map_users(ready, os.getppid(), first, count)
    os.close(ready)
    try:
        _checked(_libc.unshare(_CLONE_NEWUSER))
        os.write(unshared, b"u")
    finally:
        os.close(unshared)
        _, status = os.waitpid(outside, 0)
    if status:
        raise OSError(os.waitstatus_to_exitcode(status), "cannot map users into a user namespace")
    os.setgroups([])
    os.setresgid(first, first, first)
    os.setresuid(first, first, first)
    _drop_bounds(keep=(_CAP_KILL, _CAP_SETGID, _CAP_SETUID))
    _set_capabilities(1 << _CAP_KILL | 1 << _CAP_SETGID | 1 << _CAP_SETUID)


def kill_user(user: int) -> bool:
    """Kill all processes of a user, in one step, so that none can fork meanwhile. Returns whether that was done.

    For a process with one thread that may become that user.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            _set_capabilities(0)  # or it would reach further than this user
            os.kill(-1, 9)
            code = 0
        except ProcessLookupError:
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _map_users(ready: int, process: int, first: int, count: int) -> None:
    code = 1
    try:
        if os.read(ready, 1):
            for name in ("uid_map", "gid_map"):
                descriptor = os.open(f"/proc/{process}/{name}", os.O_WRONLY)
                os.write(descriptor, f"{first} {first} {count}\n".encode())
                os.close(descriptor)
            code = 0
    finally:
        os._exit(code)


def _drop_bounds(keep: tuple[int, ...]) -> None:
    for capability in range(64):
        if capability not in keep and _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            return  # beyond the last that the kernel has


def _set_capabilities(low: int) -> None:
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(_Sets(low, low, 0), _Sets(0, 0, 0))
    _checked(_libc.capset(ctypes.byref(header), sets))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

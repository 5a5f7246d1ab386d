"""Settings that torch reads when it is imported, and a loopback for tests that talk to a server of their own."""

import fcntl
import os
import socket
import struct
from contextlib import suppress

import pytest

from ear.jobs import QUIET_LIBRARIES

# The models are tiny: threads that wait for each other cost more than they bring, and beside other work on a small
# machine tens of times more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Libraries read these when they are imported, whichever test comes first: a job's terminal gets its own lines alone.
os.environ.update(QUIET_LIBRARIES)

SIOCGIFFLAGS, SIOCSIFFLAGS, UP = 0x8913, 0x8914, 0x1


def pytest_configure():
    """Bring the loopback up where it is down, as in `unshare --map-root-user --net make test`."""
    with suppress(OSError), socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        if not flags & UP:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | UP))


SMOKE = {"undisturbed", "done", "own"}
"""Fixtures of one smoke run (tests/workflow/conftest.py)."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """Under pytest-xdist the tests of a file, and all of the smoke run, share a worker; the smoke run begins first."""
    first = []
    for item in items:
        smoke = bool(SMOKE.intersection(item.fixturenames))
        item.add_marker(pytest.mark.xdist_group("smoke" if smoke else item.nodeid.partition("::")[0]))
        first.append(smoke)
    items[:] = [item for _, item in sorted(zip(first, items, strict=True), key=lambda pair: not pair[0])]

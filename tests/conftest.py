"""Settings that torch reads when it is imported, and a loopback for tests that talk to a server of their own."""

import fcntl
import os
import socket
import struct
from contextlib import suppress

from ear.workflow.jobs import QUIET_LIBRARIES

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


def pytest_collection_modifyitems(items):
    """Begin with what waits for the smoke run: the other workers of pytest-xdist have work meanwhile."""
    items.sort(key=lambda item: not SMOKE.intersection(item.fixturenames))

"""Settings that torch reads when it is imported."""

import os

# The models are tiny: threads that wait for each other cost more than they bring, and beside other work on a small
# machine tens of times more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

"""Tools for tests, ours and yours: virtual time, a manual clock, and a contract suite for each seam.

Nothing here needs a test framework.
"""

from pacer.testing._clock import ManualClock as ManualClock
from pacer.testing._held import HeldStore as HeldStore
from pacer.testing._virtual import VirtualTimeError as VirtualTimeError
from pacer.testing._virtual import VirtualTimeLoop as VirtualTimeLoop
from pacer.testing._virtual import outside as outside
from pacer.testing._virtual import run_virtual as run_virtual

__all__ = ["HeldStore", "ManualClock", "VirtualTimeError", "VirtualTimeLoop", "outside", "run_virtual"]

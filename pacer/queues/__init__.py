"""Orders of the waiting jobs. The queue itself, `BoundedQueue`, is imported from `pacer`."""

from pacer.queues._fifo import Fifo as Fifo
from pacer.queues._priority import Priority as Priority

__all__ = ["Fifo", "Priority"]

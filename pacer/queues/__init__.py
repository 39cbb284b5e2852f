"""Orders of the waiting jobs. The queues themselves, `BoundedQueue` and `MaxWait`, are imported from `pacer`."""

from pacer.queues._earliest_deadline import EarliestDeadline as EarliestDeadline
from pacer.queues._fair_share import FairShare as FairShare
from pacer.queues._fifo import Fifo as Fifo
from pacer.queues._lifo import Lifo as Lifo
from pacer.queues._priority import Priority as Priority
from pacer.queues._shortest_first import ShortestFirst as ShortestFirst

__all__ = ["EarliestDeadline", "FairShare", "Fifo", "Lifo", "Priority", "ShortestFirst"]

"""Tell people when something is wrong with a queue: `Scheduler(..., alerts=[Alert(OldestWaiting(600), tell_slack)])`.

A condition says whether something is wrong. An `Alert` says who is told of it, and how often at most. Each message is
sent once for a queue, whichever of its processes notices first, and so is the one that says that it is over.
"""

from pacer.alerts._alert import Alert as Alert
from pacer.alerts._alert import AlertMessage as AlertMessage
from pacer.alerts._conditions import HeldFor as HeldFor
from pacer.alerts._conditions import JobEnded as JobEnded
from pacer.alerts._conditions import OldestWaiting as OldestWaiting
from pacer.alerts._conditions import PausedFor as PausedFor
from pacer.alerts._conditions import QueueFull as QueueFull
from pacer.alerts._look import Condition as Condition
from pacer.alerts._look import EndedJob as EndedJob
from pacer.alerts._look import Finding as Finding
from pacer.alerts._look import Look as Look

__all__ = [
    "Alert",
    "AlertMessage",
    "Condition",
    "EndedJob",
    "Finding",
    "HeldFor",
    "JobEnded",
    "Look",
    "OldestWaiting",
    "PausedFor",
    "QueueFull",
]

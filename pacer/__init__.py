"""Run jobs against services that limit you: a bounded queue, one pace, honest waiting times.

Imports run downward only: values (`_job`, `_durations`, `_snapshot`, `_errors`) -> `protocols` -> strategies (`pacing`,
`backoff`, `estimators`, `queues`) -> rules (`_rules`, `_forecast`) -> `stores` -> scheduler (`_worker`, `_scheduler`)
-> integrations (`fastapi`, `demo`, `_cli`). Strategy families never import each other.
"""

from pacer._context import CurrentJob as CurrentJob
from pacer._context import current_job as current_job
from pacer._errors import AlreadyRunningError as AlreadyRunningError
from pacer._errors import ArgumentsUnavailableError as ArgumentsUnavailableError
from pacer._errors import CorruptStoreError as CorruptStoreError
from pacer._errors import ImpossibleJobError as ImpossibleJobError
from pacer._errors import JobCancelledError as JobCancelledError
from pacer._errors import JobError as JobError
from pacer._errors import JobFailedError as JobFailedError
from pacer._errors import JobStaleError as JobStaleError
from pacer._errors import LeaseLostError as LeaseLostError
from pacer._errors import NewerSchemaError as NewerSchemaError
from pacer._errors import NotEncodableError as NotEncodableError
from pacer._errors import NotOurStoreError as NotOurStoreError
from pacer._errors import NotRetryableError as NotRetryableError
from pacer._errors import NotRunningError as NotRunningError
from pacer._errors import OlderSchemaError as OlderSchemaError
from pacer._errors import PacerError as PacerError
from pacer._errors import PartsDifferError as PartsDifferError
from pacer._errors import QueueFullError as QueueFullError
from pacer._errors import ReadOnlyStoreError as ReadOnlyStoreError
from pacer._errors import ResultUnavailableError as ResultUnavailableError
from pacer._errors import StoreError as StoreError
from pacer._errors import StoreUnavailableError as StoreUnavailableError
from pacer._errors import TakenOverError as TakenOverError
from pacer._errors import TaskError as TaskError
from pacer._errors import Throttled as Throttled
from pacer._errors import UnknownJobError as UnknownJobError
from pacer._errors import UnknownQueueError as UnknownQueueError
from pacer._errors import UnsupportedBackendError as UnsupportedBackendError
from pacer._intake import Enqueuer as Enqueuer
from pacer._job import BatchProgress as BatchProgress
from pacer._job import Estimate as Estimate
from pacer._job import Job as Job
from pacer._job import JobRecord as JobRecord
from pacer._job import JobState as JobState
from pacer._job import Outcome as Outcome
from pacer._job import OutcomeKind as OutcomeKind
from pacer._job import Retry as Retry
from pacer._logging import LoggingObserver as LoggingObserver
from pacer._minutes import Minute as Minute
from pacer._numbers import Number as Number
from pacer._options import JobOptions as JobOptions
from pacer._pages import Explanation as Explanation
from pacer._pages import JobPage as JobPage
from pacer._pages import Upcoming as Upcoming
from pacer._periodic._timetable import Every as Every
from pacer._periodic._timetable import PeriodicJob as PeriodicJob
from pacer._receipt import BatchReceipt as BatchReceipt
from pacer._receipt import Receipt as Receipt
from pacer._rules import Rules as Rules
from pacer._scheduler import Scheduler as Scheduler
from pacer._signals import Subscription as Subscription
from pacer._snapshot import QueueState as QueueState
from pacer._snapshot import Running as Running
from pacer._snapshot import Snapshot as Snapshot
from pacer._steering import Retried as Retried
from pacer._tasks import Call as Call
from pacer._tasks import call as call
from pacer._transactional import TransactionalEnqueuer as TransactionalEnqueuer
from pacer._views import Status as Status
from pacer.queues._bounded import BoundedQueue as BoundedQueue
from pacer.queues._max_wait import MaxWait as MaxWait

__version__ = "0.1.0"

__all__ = [
    "AlreadyRunningError",
    "ArgumentsUnavailableError",
    "BatchProgress",
    "BatchReceipt",
    "BoundedQueue",
    "Call",
    "CorruptStoreError",
    "CurrentJob",
    "Enqueuer",
    "Estimate",
    "Every",
    "Explanation",
    "ImpossibleJobError",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobOptions",
    "JobPage",
    "JobRecord",
    "JobStaleError",
    "JobState",
    "LeaseLostError",
    "LoggingObserver",
    "MaxWait",
    "Minute",
    "NewerSchemaError",
    "NotEncodableError",
    "NotOurStoreError",
    "NotRetryableError",
    "NotRunningError",
    "Number",
    "OlderSchemaError",
    "Outcome",
    "OutcomeKind",
    "PacerError",
    "PartsDifferError",
    "PeriodicJob",
    "QueueFullError",
    "QueueState",
    "ReadOnlyStoreError",
    "Receipt",
    "ResultUnavailableError",
    "Retried",
    "Retry",
    "Rules",
    "Running",
    "Scheduler",
    "Snapshot",
    "Status",
    "StoreError",
    "StoreUnavailableError",
    "Subscription",
    "TakenOverError",
    "TaskError",
    "Throttled",
    "TransactionalEnqueuer",
    "UnknownJobError",
    "UnknownQueueError",
    "UnsupportedBackendError",
    "Upcoming",
    "call",
    "current_job",
]

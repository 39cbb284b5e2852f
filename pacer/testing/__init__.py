"""Tools for tests, ours and yours: virtual time, rehearsals of an application's queue, a contract suite for each seam.

Nothing here needs a test framework. A suite is a tuple of functions, one a promise, and a function that runs them all:

    check_pacing_policy(MyPacing(5))

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.anyio
    async def test_my_store(check):
        await check(lambda clock, lease: MyStore(clock=clock, lease=lease))
"""

from pacer.testing._app_clock import AppClock as AppClock
from pacer.testing._backoff import BACKOFF_CHECKS as BACKOFF_CHECKS
from pacer.testing._backoff import check_backoff_policy as check_backoff_policy
from pacer.testing._clock import ManualClock as ManualClock
from pacer.testing._codec import CODEC_CHECKS as CODEC_CHECKS
from pacer.testing._codec import check_codec as check_codec
from pacer.testing._codec import check_observer as check_observer
from pacer.testing._codec import sample_events as sample_events
from pacer.testing._enqueued import EnqueuedJob as EnqueuedJob
from pacer.testing._estimator import ESTIMATOR_CHECKS as ESTIMATOR_CHECKS
from pacer.testing._estimator import check_duration_estimator as check_duration_estimator
from pacer.testing._expect import SampleJob as SampleJob
from pacer.testing._held import HeldStore as HeldStore
from pacer.testing._pacing import PACING_CHECKS as PACING_CHECKS
from pacer.testing._pacing import check_pacing_policy as check_pacing_policy
from pacer.testing._queue import ORDER_CHECKS as ORDER_CHECKS
from pacer.testing._queue import QUEUE_CHECKS as QUEUE_CHECKS
from pacer.testing._queue import check_job_order as check_job_order
from pacer.testing._queue import check_job_queue as check_job_queue
from pacer.testing._recorder import Recorder as Recorder
from pacer.testing._rehearsal import Rehearsal as Rehearsal
from pacer.testing._rehearsal import fast as fast
from pacer.testing._rehearsal import rehearse as rehearse
from pacer.testing._report import Hold as Hold
from pacer.testing._report import JobRun as JobRun
from pacer.testing._report import Report as Report
from pacer.testing._store_desk import StoreFactory as StoreFactory
from pacer.testing._store_people import STORE_CHECKS as STORE_CHECKS
from pacer.testing._store_people import check_store as check_store
from pacer.testing._virtual import VirtualTimeError as VirtualTimeError
from pacer.testing._virtual import VirtualTimeLoop as VirtualTimeLoop
from pacer.testing._virtual import holding as holding
from pacer.testing._virtual import outside as outside
from pacer.testing._virtual import run_virtual as run_virtual

__all__ = [
    "BACKOFF_CHECKS",
    "CODEC_CHECKS",
    "ESTIMATOR_CHECKS",
    "ORDER_CHECKS",
    "PACING_CHECKS",
    "QUEUE_CHECKS",
    "STORE_CHECKS",
    "AppClock",
    "EnqueuedJob",
    "HeldStore",
    "Hold",
    "JobRun",
    "ManualClock",
    "Recorder",
    "Rehearsal",
    "Report",
    "SampleJob",
    "StoreFactory",
    "VirtualTimeError",
    "VirtualTimeLoop",
    "check_backoff_policy",
    "check_codec",
    "check_duration_estimator",
    "check_job_order",
    "check_job_queue",
    "check_observer",
    "check_pacing_policy",
    "check_store",
    "fast",
    "holding",
    "outside",
    "rehearse",
    "run_virtual",
    "sample_events",
]

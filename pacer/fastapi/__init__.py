"""A scheduler inside a FastAPI application: its lifetime, routes to watch it, and its errors as HTTP answers.

    scheduler = Scheduler(queue=BoundedQueue(50), pacing=FixedPause(10))
    app = FastAPI(lifespan=lifespan(scheduler))
    app.include_router(queue_router(scheduler))
    install_error_handlers(app)

Needs the `fastapi` extra.
"""

from pacer import _extras

with _extras.needed("fastapi"):
    from pacer.fastapi._lifespan import SchedulerDep as SchedulerDep
    from pacer.fastapi._lifespan import get_scheduler as get_scheduler
    from pacer.fastapi._lifespan import lifespan as lifespan
    from pacer.fastapi._models import EstimateView as EstimateView
    from pacer.fastapi._models import JobView as JobView
    from pacer.fastapi._models import ReceiptView as ReceiptView
    from pacer.fastapi._models import StatusView as StatusView
    from pacer.fastapi._problems import Problem as Problem
    from pacer.fastapi._problems import install_error_handlers as install_error_handlers
    from pacer.fastapi._problems import problem_responses as problem_responses
    from pacer.fastapi._router import queue_router as queue_router

__all__ = [
    "EstimateView",
    "JobView",
    "Problem",
    "ReceiptView",
    "SchedulerDep",
    "StatusView",
    "get_scheduler",
    "install_error_handlers",
    "lifespan",
    "problem_responses",
    "queue_router",
]

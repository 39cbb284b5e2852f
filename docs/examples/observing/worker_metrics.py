from metrics_app import metrics, scheduler
from prometheus_client import start_http_server

from pacer import Scheduler


def worker() -> Scheduler:
    start_http_server(9109, addr="127.0.0.1", registry=metrics.exposed)
    return scheduler

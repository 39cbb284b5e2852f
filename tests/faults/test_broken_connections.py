"""Connections break, stall and lose answers, on the way of one worker, while others go on."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random

from pool import Pool
from proxy import Proxy
from servers import Server

FAULTS = 30


def test_nothing_is_lost_or_done_twice_whatever_connections_do(server: Server, workers: Pool) -> None:
    random = Random(FAULTS)
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(server.port)) for _ in range(3)]
        for proxy in proxies:
            workers.start(address=workers.plan.by_way_of(proxy.port), moody=True)
        workers.wait_for("settled")
        for _ in range(FAULTS):
            proxy = random.choice(proxies)
            match random.choice(["cut", "stall", "answers", "requests", "refuse"]):
                case "cut":
                    proxy.cut()
                case "stall":  # all comes, but late
                    proxy.stall()
                    workers.wait_for_lines(random.randint(1, 100))
                    proxy.flow()
                case "answers":  # what was asked for is done, and nobody hears of it
                    proxy.stall(requests=False)
                    workers.wait_for_lines(random.randint(1, 20))
                    proxy.cut()
                    proxy.flow()
                case "requests":
                    proxy.stall(answers=False)
                    workers.wait_for_lines(random.randint(1, 20))
                    proxy.cut()
                    proxy.flow()
                case "refuse":
                    proxy.refuse()
                    proxy.cut()
                    workers.wait_for_lines(random.randint(1, 100))
                    proxy.accept()
            workers.wait_for_lines(random.randint(1, 20))
        workers.now()
        for process in workers.alive:
            workers.wait_for("settled", who=process.name)
        history = workers.finish()
    assert history.violations() == []
    assert len(list(history.of("store-failed", "refused"))) > FAULTS / 10, "nobody noticed: little has been shown"

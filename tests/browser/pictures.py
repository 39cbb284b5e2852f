"""A queue at its busiest, for the pictures of the docs; and how pictures are kept."""

from __future__ import annotations

import io
import json
import math
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

from PIL import Image
from playwright.sync_api import Page

from browser.served import Site
from pacer import JobState

TITLE = "Papers"
PAPERS = ("8-1204", "8-1217", "8-1233", "8-1240", "8-1258", "8-1271", "8-1284", "8-1290", "8-1302", "8-1315")
COMMITTEES = ("transport", "schools", "water", "housing")
TIMEOUT = "the chat service did not answer within 60 s"


def fill(site: Site) -> None:
    """Jobs in every state, most of them waiting, and an hour behind them. The site must have room for some at once."""
    tell_an_hour(site.db, Random(7))
    site.wait_for(JobState.FAILED, site.enqueue("fetch", TIMEOUT, job_id="8-1188", key="schools"))
    site.enqueue("summarise", "long", 0.62, "page 31 of 50", job_id="8-1199", key="water")
    site.wait_for(JobState.RUNNING, "8-1199")
    site.wait_for(JobState.SUCCEEDED, site.enqueue("nothing"))
    site.do(site.scheduler.set_numbers, {"pacing.seconds": 60})
    for number, paper in enumerate(PAPERS):
        site.enqueue("summarise", paper, job_id=paper, key=COMMITTEES[number % len(COMMITTEES)])


def tell_an_hour(db: Path, random: Random) -> None:
    """Write down what happened in the last hour: a rush, with a quarter in which the upstream refused much."""
    now = int(time.time() // 60)
    with closing(sqlite3.connect(db)) as connection:
        for ago in range(1, 60):
            rush = math.exp(-(((ago - 25) / 14) ** 2))
            started = round(2 + 4 * rush + random.random())
            throttled = round(2 * random.random()) if 18 < ago < 32 else 0
            failed = int(random.random() < 0.12)
            wait = 8 + 190 * rush + 12 * random.random()
            tally = [now - ago, started, wait * started, wait * 1.6, started - failed - throttled, failed, 0, throttled]
            connection.execute(
                "INSERT OR REPLACE INTO pacer_minutes (queue, minute, tally) VALUES (1, ?, ?)",
                (now - ago, json.dumps(tally)),
            )
        connection.commit()


def keep(page: Page, name: str, folder: Path) -> Path:
    """Take a picture for the docs: into the folder that PACER_SCREENSHOTS names, or else this one."""
    path = Path(os.environ.get("PACER_SCREENSHOTS") or folder) / f"{name}.webp"
    page.evaluate("document.activeElement.blur()")
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    image.convert("RGB").save(path, lossless=True, quality=100, method=4)
    return path

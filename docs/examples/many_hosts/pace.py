"""How often the upstream was called.

python pace.py http://127.0.0.1:8766
"""

import json
import sys
from bisect import bisect_left
from urllib.request import urlopen

with urlopen(f"{sys.argv[1]}/calls") as answer:
    calls = json.load(answer)["calls"]
times = [call["at"] for call in calls]
refused = sum(call["status"] == 429 for call in calls)
most = max(end + 1 - bisect_left(times, times[end] - 1) for end in range(len(times)))
print(f"{len(calls)} calls in {times[-1] - times[0]:.1f} s, {refused} refused")
print(f"at most {most} in any second")

"""Hand in 60 papers.

python hand_in.py http://127.0.0.1:8000
"""

import json
import sys
from urllib.request import Request, urlopen
from uuid import uuid4

run = uuid4().hex[:6]
for number in range(1, 61):
    text = f"Antrag. Die Strecke {number} soll zweigleisig ausgebaut werden."
    paper = json.dumps({"number": f"{run}-{number}", "text": text}).encode()
    kind = {"Content-Type": "application/json"}
    with urlopen(Request(f"{sys.argv[1]}/papers", paper, kind)) as answer:
        receipt = json.load(answer)
wait = receipt["estimate"]["seconds"]
print(f"60 papers are in; the last one starts in {wait:.1f} s")

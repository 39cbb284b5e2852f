"""Pacing policies: when may the next job start?"""

from pacer.pacing._adaptive_rate import AdaptiveRate as AdaptiveRate
from pacer.pacing._all_of import AllOf as AllOf
from pacer.pacing._budget import Budget as Budget
from pacer.pacing._completion_window import CompletionWindow as CompletionWindow
from pacer.pacing._cubic_rate import CubicRate as CubicRate
from pacer.pacing._fixed_pause import FixedPause as FixedPause
from pacer.pacing._fixed_window import FixedWindow as FixedWindow
from pacer.pacing._gradient_limit import GradientLimit as GradientLimit
from pacer.pacing._manual_pace import ManualPace as ManualPace
from pacer.pacing._min_interval import MinInterval as MinInterval
from pacer.pacing._opening_hours import OpeningHours as OpeningHours
from pacer.pacing._per_key import PerKey as PerKey
from pacer.pacing._server_guided import ServerGuided as ServerGuided
from pacer.pacing._sliding_window import SlidingWindow as SlidingWindow
from pacer.pacing._token_bucket import TokenBucket as TokenBucket
from pacer.pacing._unpaced import Unpaced as Unpaced
from pacer.pacing._vegas_limit import VegasLimit as VegasLimit
from pacer.pacing._warm_up import WarmUp as WarmUp

__all__ = [
    "AdaptiveRate",
    "AllOf",
    "Budget",
    "CompletionWindow",
    "CubicRate",
    "FixedPause",
    "FixedWindow",
    "GradientLimit",
    "ManualPace",
    "MinInterval",
    "OpeningHours",
    "PerKey",
    "ServerGuided",
    "SlidingWindow",
    "TokenBucket",
    "Unpaced",
    "VegasLimit",
    "WarmUp",
]

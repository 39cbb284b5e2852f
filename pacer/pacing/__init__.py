"""Pacing policies: when may the next job start?"""

from pacer.pacing._all_of import AllOf as AllOf
from pacer.pacing._fixed_pause import FixedPause as FixedPause
from pacer.pacing._token_bucket import TokenBucket as TokenBucket
from pacer.pacing._unpaced import Unpaced as Unpaced

__all__ = ["AllOf", "FixedPause", "TokenBucket", "Unpaced"]

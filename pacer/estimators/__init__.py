"""Duration estimators: how long will a job run?"""

from pacer.estimators._moving_average import MovingAverage as MovingAverage

__all__ = ["MovingAverage"]

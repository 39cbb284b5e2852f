"""Duration estimators: how long will a job run?"""

from pacer.estimators._moving_average import MovingAverage as MovingAverage
from pacer.estimators._streaming_quantile import StreamingQuantile as StreamingQuantile
from pacer.estimators._windowed_quantile import WindowedQuantile as WindowedQuantile

__all__ = ["MovingAverage", "StreamingQuantile", "WindowedQuantile"]

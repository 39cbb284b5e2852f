"""Duration estimators: how long will a job run?"""

from pacer.estimators._by_cost import ByCost as ByCost
from pacer.estimators._calibrated import Calibrated as Calibrated
from pacer.estimators._moving_average import MovingAverage as MovingAverage
from pacer.estimators._per_kind import PerKind as PerKind
from pacer.estimators._streaming_quantile import StreamingQuantile as StreamingQuantile
from pacer.estimators._windowed_quantile import WindowedQuantile as WindowedQuantile

__all__ = ["ByCost", "Calibrated", "MovingAverage", "PerKind", "StreamingQuantile", "WindowedQuantile"]

from pacer.demo.upstream import Limits, create_upstream

# Ten times as fast as a real one: an answer takes 0.4 to 0.9 seconds. It takes at most
# 15 requests in any second, and remembers when each of them came.
app = create_upstream(Limits(requests=600, burst=15, burst_window=10), speed=10)

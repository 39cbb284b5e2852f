"""Jobs that come by the clock: times of a schedule, and the task that enqueues a job for each."""

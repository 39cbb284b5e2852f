"""`pacer doctor`: what is wrong with a store or its queues, what it means, and what to do. It changes nothing."""

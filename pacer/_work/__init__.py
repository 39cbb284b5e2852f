"""`pacer worker` and `pacer migrate`."""

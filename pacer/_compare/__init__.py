"""`pacer simulate` and `pacer compare`: a file that names the parts, runs of all of them, a table and pictures."""

"""What the parts cost and how well they keep their promises, beside others in the same run. See README.md."""

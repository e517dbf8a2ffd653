"""Where a contender fails: slices, kinds and clusters of failures, changes between two, what to gather."""

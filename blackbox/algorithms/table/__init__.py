"""The rows of `blackbox.ALGORITHMS`, one file a family."""

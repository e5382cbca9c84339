"""Files that a run writes: history, responses, results."""

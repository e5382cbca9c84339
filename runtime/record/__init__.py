"""What a run writes: history, responses, results."""

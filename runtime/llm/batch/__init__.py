"""Batches of calls by OpenAI's Batch API: files in, files out, at a lower price and within a day."""

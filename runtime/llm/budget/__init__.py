"""Caps on calls, tokens, dollars and minutes, and the count of what was used."""

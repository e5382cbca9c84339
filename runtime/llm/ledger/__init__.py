"""The call ledger: every finished model call on disk, replayed instead of paid again."""

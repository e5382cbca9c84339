"""The Coordinator: plans, searches, and the final test."""

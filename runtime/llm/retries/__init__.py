"""What is tried again and when, and when an endpoint is left alone."""

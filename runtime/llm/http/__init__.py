"""Chat completions over HTTP: the wire format, and two clients that speak it."""

"""Chat completions over HTTP: the wire format, and two clients for it."""

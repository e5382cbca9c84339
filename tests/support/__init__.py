"""What the tests of the whole project stand on: a chat server, a virtual clock, a simulated world."""

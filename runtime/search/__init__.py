"""Pure algorithms of the search: no agent, no clock, no file."""

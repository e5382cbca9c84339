"""The command line `tprompt`."""

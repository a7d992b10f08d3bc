"""What people run: the explorer and the `interp` command. Thin calls into `interp` and `probes`."""

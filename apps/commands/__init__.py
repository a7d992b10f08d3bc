"""The sub-commands of `interp`: one file each, with `HELP`, `EXAMPLES`, `arguments` and `run`."""

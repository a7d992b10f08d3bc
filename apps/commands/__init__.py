"""The sub-commands of `interp`: one file each, with `EXAMPLES`, `add_arguments` and `run`."""

"""`python -m probes.privacy`: see `probes.privacy.script`."""

from probes.privacy.script import SCRIPT

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())

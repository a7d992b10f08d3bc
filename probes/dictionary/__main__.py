"""`python -m probes.dictionary`"""

from probes.dictionary.script import SCRIPT

raise SystemExit(SCRIPT.main())

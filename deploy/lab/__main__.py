"""`python -m lab` is `homeport lab`."""

import sys

from lab.cli import main

sys.exit(main(sys.argv[1:]))

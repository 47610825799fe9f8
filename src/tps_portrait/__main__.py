"""`python -m tps_portrait`: the same as the `tps-portrait` command."""

import sys

from .cli import main

sys.exit(main())

"""`python -m kcore.cli`, for a checkout that is not installed."""

import sys

from kcore.cli import main

sys.exit(main())

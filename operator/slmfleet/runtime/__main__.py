"""`python -m slmfleet.runtime` runs the operator."""

import sys

from .main import main

sys.exit(main())

"""What things cost, measured; from a checkout, without PYTHONPATH."""

import sys
from pathlib import Path

_OPERATOR = str(Path(__file__).parents[1] / "operator")
if _OPERATOR not in sys.path:
    sys.path.append(_OPERATOR)

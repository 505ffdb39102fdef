"""Names that stand for content."""

import hashlib
import json


def digest(value: object) -> str:
    """Ten hexadecimal digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]

"""How many examples are drawn: as many as a change needs, or as many as GNET_EXAMPLES says, where that is more.

GNET_EXAMPLES=5000 python -m pytest tests/test_placing.py -k any
"""

import os

ASKED = int(os.environ.get("GNET_EXAMPLES", "0"))


def at_least(number: int) -> int:
    """So many examples, or as many as were asked for."""
    return max(number, ASKED)

"""Examples of every layer kind: by its name a list of (arguments as a spec gives them, the shapes of its inputs).

Whatever tests a fact of all layer kinds goes through these.
"""

from typing import Any

from gnet_inspect.ops import Shape
from tests.kinds_a import KINDS_A
from tests.kinds_b import KINDS_B

Example = tuple[dict[str, Any], tuple[Shape, ...]]

KINDS: dict[str, list[Example]] = {**KINDS_A, **KINDS_B}

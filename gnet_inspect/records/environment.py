"""What an examination of the machine is. The fields are the JSON contract."""

from msgspec import Struct

from gnet_inspect.display import Shown
from gnet_inspect.errors import some_of


class Part(Struct, frozen=True):
    """One thing that may be there: `found` is its version or description, None where it is missing."""

    name: str
    found: str | None
    purpose: str
    remedy: str = ""


class Examination(Shown, Struct, frozen=True):
    """What `doctor --format json` prints."""

    schema_version: int
    parts: tuple[Part, ...]

    def _brief(self) -> str:
        missing = some_of(part.name for part in self.parts if part.found is None)
        return f"of {len(self.parts)} parts, missing: {missing or 'none'}"

"""The bounds of a network's file, whoever wrote it, and what is counted against them."""

# A node of a graph's file takes some 200 bytes: so many of them, with long names and many arguments, fit into so many
# bytes. Of an archive it is what one member may take unpacked, of ONNX what is no weight.
MAX_BYTES = 64_000_000
MAX_NODES = 200_000
# Of parts in parts, of steps of a name ("a.b.c" has three), of axes and of lists in an argument: no module nests so
# deep, and Python's stack is deeper.
MAX_DEPTH = 64
MAX_NAME = 1_000
# As for a spec: what is said of a layer is said of all that lies around it, and names are repeated by every record.
MAX_PLACES = 1_000_000
MAX_CHARACTERS = 20_000_000
MAX_SIZE = 2**31 - 1


class Tally:
    """How many characters the names of a file have, and in how many places its layers lie, together."""

    __slots__ = ("characters", "places")

    def __init__(self) -> None:
        self.characters = self.places = 0

    def add(self, characters: int) -> str:
        """Count characters; what was expected and got, once there are too many of either, and "" before."""
        self.characters += characters
        if self.characters <= MAX_CHARACTERS and self.places <= MAX_PLACES:
            return ""
        return f"expected names of at most {MAX_CHARACTERS:,} characters and {MAX_PLACES:,} places together, got more"

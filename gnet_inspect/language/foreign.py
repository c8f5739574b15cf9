"""What people give in the place of a spec: weights, graphs of other tools, Python code, URLs. Each is told what it is,
and what is read instead; nothing of it is run."""

import re

_MODULE = "write its layers as YAML: `gnet-inspect show googlenet` is an example"
_WEIGHTS = "a spec says the layers, and `load_weights(module, path)` reads weights into its module"

# By the ending of the name: what it is, and how to go on.
ENDINGS = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".h5", ".npz"), ("a file of weights", _WEIGHTS)),
    ".pt2": ("a program of torch.export", "commands read it: `gnet-inspect summary FILE.pt2`"),
    ".onnx": ("a graph of ONNX", "commands read it: `gnet-inspect summary FILE.onnx`"),
    ".tflite": ("a graph of TensorFlow Lite", _MODULE),
    ".pb": ("a graph of TensorFlow", _MODULE),
    ".keras": ("a model of Keras", _MODULE),
    ".mlmodel": ("a model of Core ML", _MODULE),
    ".prototxt": ("a network of Caffe", _MODULE),
    ".caffemodel": ("a file of Caffe's weights", _WEIGHTS),
    ".py": ("Python code, which is not run", _MODULE),
    ".ipynb": ("a notebook, which is not run", _MODULE),
}
# net.py:Net, torchvision.models:resnet50, torch.nn.Sequential(...)
_CALL = "write ./FILE.py:NAME or package.module:NAME, with --arg for its arguments"
_OBJECT = re.compile(
    r"(?:[\w./\\-]+\.py|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(.*\))?\Z|[A-Za-z_][\w.]*\(.*\)\Z", re.DOTALL
)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_HEAD = 8


def foreign_ending(name: str) -> tuple[str, str] | None:
    """(what a file of that name is, how to go on); None where it may be a spec."""
    ending = re.search(r"\.\w+\Z", name.lower())
    return ENDINGS.get(ending[0]) if ending else None


def foreign_name(name: str) -> tuple[str, str] | None:
    """The same of a name that no file has."""
    if _URL.match(name):
        return "a URL", "files are read from disk: download it, and give its path"
    if _OBJECT.match(name) and not name.endswith((".yaml", ".yml")):
        return "a call in Python", _CALL
    return None


def foreign_content(text: bytes) -> tuple[str, str] | None:
    """The same of a file's first bytes, whatever its name."""
    if text.startswith(b"PK\x03\x04"):
        return "an archive, as torch.save writes it", _WEIGHTS
    if text[:1] == b"\x80" and text[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle, which could run code", _WEIGHTS
    if text[_HEAD : _HEAD + 1] == b"{" and b"\x00" in text[:_HEAD]:
        return "a file of safetensors", _WEIGHTS
    return ("a file of HDF5", _WEIGHTS) if text.startswith(b"\x89HDF") else None

"""YAML -> Spec: plain frozen data, every mistake answered with file, line and path."""

from gnet_inspect.language.catalogue import catalogue as catalogue
from gnet_inspect.language.catalogue import load_spec as load_spec
from gnet_inspect.language.catalogue import spec_text as spec_text
from gnet_inspect.language.model import Spec as Spec
from gnet_inspect.language.parse import parse_spec as parse_spec

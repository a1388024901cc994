"""Reading the dated data beside this module: YAML in which only `true` and `false` are truth values, as in YAML 1.2.

Version 1.1, which the library reads, takes the key `off` of a calendar and the language `no` for false.
"""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


class _Loader(yaml.CSafeLoader):
    """The fast safe loader without `on`, `off`, `yes` and `no`."""


_BOOL = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL or first in "tTfF"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read(*path: str) -> Any:
    """The content of a YAML file under `contracts/`: `read("rules", "cases.yaml")`."""
    return yaml.load(FOLDER.joinpath(*path).read_bytes(), Loader=_Loader)  # noqa: S506  # a safe loader, see above

"""A contract type for import-linter: these modules import nothing but what is listed.

The linter's own `forbidden` contract needs every stranger named; a border is better described by its few guests.
"""

import sys
from fnmatch import fnmatchcase
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from typing_extensions import override


class OnlyContract(Contract):
    """`modules` (patterns) import `allowed` packages, each other and the standard library, and nothing else.

    Tests beside the code (`test_*`, `conftest`) are free. An allowed name covers what lies below it.
    """

    modules: Any = fields.ListField(subfield=fields.StringField())  # lists of strings once the contract is read
    allowed: Any = fields.ListField(subfield=fields.StringField())

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        strangers = [
            f"{module} imports {imported}"
            for module in sorted(graph.modules)
            if any(_below(module, pattern) for pattern in self.modules) and not _is_test(module)
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if not self._is_welcome(module, imported)
        ]
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["strangers"]:
            output.print_error(line)

    def _is_welcome(self, module: str, imported: str) -> bool:
        own = (pattern for pattern in self.modules if _below(module, pattern))
        siblings = (".".join(module.split(".")[: pattern.count(".") + 1]) for pattern in own)
        return imported.partition(".")[0] in sys.stdlib_module_names or any(
            _below(imported, name) for name in (*self.allowed, *siblings)
        )


def _below(module: str, pattern: str) -> bool:
    """Whether the module is the pattern's or lies inside it; `*` stands for one name."""
    names, wanted = module.split("."), pattern.split(".")
    return len(names) >= len(wanted) and all(map(fnmatchcase, names, wanted))


def _is_test(module: str) -> bool:
    name = module.rpartition(".")[2]
    return name == "conftest" or name.startswith("test_")

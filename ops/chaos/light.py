"""Leaves out the libraries of learning: they take seconds at every start, and no step of the suite uses them."""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_LEFT_OUT = frozenset({"joblib", "scipy", "skops", "sklearn", "threadpoolctl"})


def leave_out() -> None:
    """Let those libraries be empty in this process: whatever is taken from them is a class that does nothing."""
    sys.meta_path.insert(0, _Finder())


class _Empty(ModuleType):
    __path__ = []  # noqa: RUF012 - a package, as whoever imports from inside it must see
    __version__ = "0"

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in _LEFT_OUT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass

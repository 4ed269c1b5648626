"""Peers by name: those of the table, and methods in files of a user's own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dmn.errors import ConfigError, nearest
from dmn.peers.contract import Peer, from_module
from dmn.peers.table import PEERS, module_name


def load_peers(
    methods: Sequence[str],
    files: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Peer]:
    """Return the named peers of the table and those of `files`, with changes by peer.

    Raises ConfigError for an unknown name or option, and for a file that is no method.
    """
    changes = dict(options or {})
    own = own_methods(files)
    names = list(dict.fromkeys([*methods, *own]))
    for name in names:
        if name not in PEERS and name not in own:
            raise ConfigError(f"no method {name!r}; {nearest(name, [*PEERS, *own])}")
    for name in changes:
        if name not in names:
            raise ConfigError(f"options of {name!r}, which is not run; {nearest(name, names)}")
    return [_peer(name, own.get(name), changes.get(name, {})) for name in names]


def own_methods(files: Sequence[str]) -> dict[str, str]:
    """Return files by method: the file's name without its ending. Raises ConfigError."""
    found: dict[str, str] = {}
    for file in files:
        name = Path(file).stem
        if not Path(file).is_file():
            raise ConfigError(f"no file {file} (from {Path.cwd()}); a method is a Python file")
        if not name.isidentifier() or name in PEERS or name in found:
            taken = "is taken" if name in PEERS or name in found else "is no Python name"
            raise ConfigError(f"{file}: the name {name!r} {taken}; name the file otherwise")
        found[name] = file
    return found


def _peer(name: str, file: str | None, changes: Mapping[str, Any]) -> Peer:
    if file is not None:
        return from_module(name, _read(name, file), changes)
    module = importlib.import_module(module_name(name))
    return from_module(name, module, {**PEERS[name].changes, **changes})


def _read(name: str, file: str) -> ModuleType:
    """Return the module of a file; what is wrong with it is said in one line."""
    spec = importlib.util.spec_from_file_location(f"dmn_method_{name}", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file; a method is one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    # pydantic looks the module of a class up by its name
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise ConfigError(f"{file} does not run: {type(error).__name__}: {error}") from error
    return module

"""Writes the protobuf code of the control channel into the package, or with --check says whether it is what is there.

`npm run gen:python` and `npm run test:python:client` run it with the protoc of grpcio-tools 1.62 (protobuf 4.25): what
that writes runs on every protobuf from 4.25 on, so that a host's own choice of protobuf stands.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

_HERE = Path(__file__).resolve().parent
_PROTO = _HERE.parents[2] / "proto"
_PACKAGE = Path("performance_optimizer/control/v1")
_TARGET = _HERE / "src" / _PACKAGE
_NOTICE = "# Generated from proto/ by agent/client/python/generate.py. Never edited.\n"


def _needed(proto: str, found: dict[str, None]) -> dict[str, None]:
    """The file and what it imports of ours."""
    if proto not in found:
        found[proto] = None
        for imported in re.findall(r'^import "(performance_optimizer/[^"]+)";', (_PROTO / proto).read_text(), re.M):
            _needed(imported, found)
    return found


def _generate(folder: Path) -> dict[str, str]:
    wanted = _needed(str(_PACKAGE / "control_service.proto"), {})
    includes = [f"-I{_PROTO}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    if protoc.main(["protoc", *includes, f"--python_out={folder}", f"--pyi_out={folder}", *wanted]) != 0:
        raise SystemExit("protoc has failed")
    made = sorted((folder / _PACKAGE).iterdir())
    return {path.name: _NOTICE + path.read_text() for path in made}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = _generate(Path(folder))
    present = {path.name: path.read_text() for path in _TARGET.glob("*_pb2.py*")} if _TARGET.exists() else {}
    if "--check" in sys.argv:
        if wanted != present:
            raise SystemExit("the Python client's protobuf code is not that of proto/: run `npm run gen:python`")
        return
    _TARGET.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - wanted.keys():
        (_TARGET / name).unlink()
    for name, text in wanted.items():
        (_TARGET / name).write_text(text)


main()

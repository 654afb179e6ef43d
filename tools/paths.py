"""Where the tools find the tree and the programs of its environment."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Beside the interpreter, whatever PATH says: the version that the lock file names.
BUF = str(Path(sys.executable).parent / "buf")

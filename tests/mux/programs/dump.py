"""Write argv, environment and directory of this process to the file named first, as JSON of hex; wait for input."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    target = Path(sys.argv[1])
    seen = {
        "argv": [word.hex() for word in Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]],
        "env": [entry.hex() for entry in Path("/proc/self/environ").read_bytes().split(b"\0")[:-1]],
        "cwd": os.getcwdb().hex(),
    }
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(seen))
    partial.rename(target)
    sys.stdin.read()


if __name__ == "__main__":
    main()

"""As much of cmd.exe as our own launch files need: `python cmd.py FILE`.

`@chcp …` is passed over, `@set "NAME=VALUE"` sets a variable, and a line of quoted words is a program, whose end is
waited for; `%%` in a batch file is one `%`. Anything else is an error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys


def main(file: str) -> int:
    status = 0
    with open(file, encoding="utf-8", newline="") as lines:
        for line in lines.read().split("\r\n"):
            text = line.replace("%%", "%")
            if assigned := re.fullmatch(r'@set "([^=]+)=(.*)"', text):
                os.environ[assigned[1]] = assigned[2]
            elif re.fullmatch(r'@("[^"]*" ?)+', text):
                status = subprocess.call(re.findall(r'"([^"]*)"', text))
            elif text not in ("", "@chcp 65001 >nul"):
                raise SystemExit(f"not understood: {line!r}")
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

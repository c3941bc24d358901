"""Read the terminal raw, with bracketed paste on, and append every byte that comes in to the file named first."""

import os
import sys
import tty


def main() -> None:
    tty.setraw(0)
    with open(sys.argv[1], "ab", buffering=0) as record:
        os.write(1, b"\x1b[?2004hready")
        while chunk := os.read(0, 65536):
            record.write(chunk)


if __name__ == "__main__":
    main()

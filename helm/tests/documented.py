"""Prints the variables that docs/configuration.md describes for a program, except for secrets and for what only the machine sets,
one on a line: python documented.py DOCUMENT PROGRAM"""

import pathlib
import re
import sys

# LISTEN_FDS and LISTEN_PID come from systemd.
NOT_IN_A_POD = ("LISTEN_FDS", "LISTEN_PID")


def main(document, program):
    text = pathlib.Path(document).read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (.+?)$(.+?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    for section in ("All programs", program):
        for row in re.findall(r"^\| `[A-Z].+$", sections[section], re.MULTILINE):
            if "| Secret: " not in row:
                for name in re.findall(r"`([A-Z][A-Z_]+)`", row.split("|")[1]):
                    if name not in NOT_IN_A_POD:
                        print(name)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Generates the table of values in the README.md of each chart from its values.yaml: python values_table.py [--update] CHART…
Without --update it fails if a table is outdated. Every value needs a comment, because the comments are the documentation.

A value is a scalar, or a list or table on one line; its comment is in the lines above it.
"""

import pathlib
import re
import sys

BEGIN, END = "<!-- values -->", "<!-- end of values -->"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):(?: (?P<value>.+))?$")
ITEM = re.compile(r"^ *- (?P<item>.+)$")


def rows(text):
    """Each value with its path, its default and its comment."""
    path, comment, found = [], [], []
    for number, line in enumerate(text.splitlines()[1:], start=2):
        if line.lstrip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
        elif item := ITEM.match(line):
            name, default, about = found.pop()
            found.append((name, f"[{item['item']}]", about))
        elif match := LINE.match(line):
            del path[len(match["indent"]) // 2 :]
            path.append(match["key"])
            is_value = match["value"] is not None or comment
            if is_value and not comment:
                raise SystemExit(f"values.yaml:{number}: {'.'.join(path)} has no comment")
            if is_value:
                found.append((".".join(path), match["value"] or "", " ".join(comment)))
            comment = []
        elif line.strip():
            raise SystemExit(f"values.yaml:{number}: not supported; write lists and tables on one line: {line}")
    return found


def table(chart):
    values = rows((chart / "values.yaml").read_text(encoding="utf-8"))
    lines = []
    for name, default, about in values:
        code = f"`{default}`" if default else ""
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in (f"`{name}`", code, about)) + " |")
    return "\n".join([BEGIN, "| value | default | |", "|---|---|---|", *lines, END])


def main(*arguments):
    old = []
    for chart in [pathlib.Path(name) for name in arguments if name != "--update"]:
        readme = chart / "README.md"
        text = readme.read_text(encoding="utf-8")
        new = re.sub(f"{BEGIN}.*{END}", lambda _: table(chart), text, flags=re.DOTALL)
        if "--update" in arguments:
            readme.write_text(new, encoding="utf-8")
        elif new != text:
            old.append(f"{readme} does not match values.yaml; run helm/verify --update")
    if old:
        raise SystemExit("\n".join(old))


if __name__ == "__main__":
    main(*sys.argv[1:])

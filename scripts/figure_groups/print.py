"""Figures as text: a table for a terminal, and one for the README."""


def table(about, rows):
    header = ["name", "value", "unit", "target", "better", "holds", "data", "command"]
    cells = [header] + [
        [row["name"], value(row), row["unit"], target(row), row["better"], holds(row), data(row), row["command"]]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    widths[-1] = 0
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([*heading(about), *lines])


def markdown(about, rows):
    lines = [
        f"Measured {about['date']} on {about['machine']}, load {about['load']}, {about['rustc']}, "
        f"commit {about['commit']}.",
        "",
        "| figure | value | unit | target | holds | data |",
        "|---|--:|---|--:|---|---|",
    ]
    for row in rows:
        cells = [f"`{row['name']}`", value(row), row["unit"], target(row), holds(row), data(row)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The command of each:", "", "```text"]
    commands = {}
    for row in rows:
        commands.setdefault(row["command"], []).append(row["name"])
    for command, names in commands.items():
        lines += [f"# {', '.join(names)}", *command.split(" && ")]
    return "\n".join([*lines, "```"])


def heading(about):
    return [f"{key:8} {text}" for key, text in about.items()] + [""]


def value(row):
    return f"skipped: {row['skipped']}" if row["value"] is None else number(row["value"])


def target(row):
    if row["target"] is None:
        return "none"
    return f"{'≥' if row['better'] == 'higher' else '≤'} {row['target']:g}"


def holds(row):
    return {True: "yes", False: "NO", None: ""}[row["holds"]]


def data(row):
    return f"{row['data']} ({'SYNTHETIC' if row['synthetic'] else 'recorded'})"


def number(value):
    """Four decimals, or two digits where those would be zeros."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"

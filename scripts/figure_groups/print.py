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
    """The table, and the command of each row."""
    lines = [measured(about), "", *rows_of(rows), "", "The command of each:", "", "```text"]
    commands = {}
    for row in rows:
        commands.setdefault(row["command"], []).append(row["name"])
    for command, names in commands.items():
        lines += [f"# {', '.join(names)}", *command.split(" && ")]
    return "\n".join([*lines, "```"])


def brief(about, rows):
    """The rows that have a target."""
    return "\n".join([measured(about), "", *rows_of([row for row in rows if row["target"] is not None])])


def measured(about):
    return (
        f"Measured {about['date']} on {about['machine']}, load {about['load']}, {about['rustc'].split(' (')[0]}, "
        f"commit {about['commit']}."
    )


def rows_of(rows):
    lines = ["| figure | value | unit | target | holds | data |", "|---|--:|---|--:|---|---|"]
    for row in rows:
        cells = [f"`{row['name']}`", value(row), row["unit"], target(row), holds(row), data(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def heading(about):
    return [f"{key:8} {text}" for key, text in about.items()] + [""]


def value(row):
    return f"skipped: {row['skipped']}" if row["value"] is None else number(row["value"])


def target(row):
    if row["target"] is None:
        return "none"
    return f"{'≥' if row['better'] == 'higher' else '≤'} {number(row['target']) if row['target'] >= 1e4 else format(row['target'], 'g')}"


def holds(row):
    return {True: "yes", False: "NO", None: ""}[row["holds"]]


def data(row):
    return f"{row['data']} ({'SYNTHETIC' if row['synthetic'] else 'recorded'})"


def number(value):
    """Four decimals or digits, two digits of what is tiny, and whole numbers whole."""
    if value == round(value):
        return f"{value:,.0f}"
    if abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"

"""What the figures were measured on, and when."""

import datetime
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def machine():
    """Date, machine, load average, compiler and commit: all as text."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, {len(os.sched_getaffinity(0))} cores, {memory()}, {platform.system()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "rustc": output("rustc", "--version"),
        "commit": commit(),
    }


def processor():
    for line in lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def memory():
    for line in lines("/proc/meminfo"):
        key, _, value = line.partition(":")
        if key == "MemTotal":
            return f"{int(value.split()[0]) / 2**20:.0f} GiB"
    return "memory unknown"


def commit():
    changed = output("git", "status", "--porcelain", "--untracked-files=no")
    return output("git", "rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def lines(path):
    try:
        return pathlib.Path(path).read_text().splitlines()
    except OSError:
        return []


def output(*command):
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

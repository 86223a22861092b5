"""What all groups need: the binary, the recordings, and `Figure`, a row of the table."""

import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import typing

from .machine import ROOT


@dataclasses.dataclass
class Figure:
    """One figure. `value` is None where it was skipped, and `skipped` says why."""

    name: str
    unit: str
    better: str
    data: str
    synthetic: bool
    command: str
    value: typing.Optional[float] = None
    target: typing.Optional[float] = None
    skipped: typing.Optional[str] = None

    def holds(self):
        """The target is reached; None where there is no target or no value."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def row(self):
        row = {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "better": self.better,
            "holds": self.holds(),
            "synthetic": self.synthetic,
            "data": self.data,
            "command": self.command,
        }
        if self.skipped:
            row["skipped"] = self.skipped
        return row


class Absent(Exception):
    """A recording or a peer isn't here: the figure is skipped. The text says what is missing."""


class Lab:
    """The release binary, the folder of recordings, and a folder for models that goes away."""

    def __init__(self, binary, data, folder):
        self.binary = binary
        self.data = data
        self.folder = folder
        self.scratch = pathlib.Path(folder.name)

    @staticmethod
    def build():
        say("building the release binary")
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True, stdout=sys.stderr)
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        binary = (ROOT / target / "release" / "efference").resolve()
        data = pathlib.Path(os.environ.get("EFFERENCE_DATA", ROOT.parent / "shared" / "data")).resolve()
        return Lab(binary, data, tempfile.TemporaryDirectory(prefix="efference-figures-"))

    def recording(self, path):
        """The recording's path.

        Raises `Absent` if it isn't there.
        """
        if not (self.data / path).exists():
            raise Absent(f"{path} is absent; EFFERENCE_DATA names the folder of recordings")
        return self.data / path

    def command(self, name):
        """Raises `Absent` if the binary has no command of that name."""
        if subprocess.run([self.binary, name, "--help"], capture_output=True).returncode != 0:
            raise Absent(f"`efference {name}` isn't there")

    def run(self, *arguments):
        """What `efference … --json` prints, read.

        Raises RuntimeError with its own words if it fails.
        """
        command = [str(self.binary), *map(str, arguments), "--json"]
        say(f"  {self.shown(*arguments)}")
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
        say(f"  … {time.monotonic() - started:.1f} s")
        return json.loads(done.stdout)

    def shown(self, *arguments):
        """The command as a person would type it, without the folders of this machine."""
        words = shlex.join(["efference", *map(str, arguments)])
        return words.replace(str(self.data), "$EFFERENCE_DATA").replace(str(self.scratch), "/tmp")


def built_bench(name):
    """The path of a bench's program, built."""
    command = ["cargo", "bench", "--bench", name, "--no-run", "--quiet", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    # Cargo builds the project's binary along with a bench.
    targets = [message for message in map(json.loads, built.splitlines()) if message.get("executable")]
    return next(message["executable"] for message in targets if message["target"]["name"] == name)


def say(text):
    print(text, file=sys.stderr, flush=True)

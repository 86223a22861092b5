"""Boots guests that run Bluetooth scenarios, and reads what they print.

QEMU counts instructions and makes time of them (`-icount`), and skips what is idle (`sleep=off`), so that results don't
depend on how busy this machine is. A guest's root is this machine's, read-only.
"""

import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


PARTS = {"report": "reports", "implant": "implants", "log": "logs", "account": "accounts"}


class Skipped(Exception):
    """Something can't be had here; the text says what."""


class Outcome:
    """What came of a scenario: reports and accounts by the implant's name, exit codes, all lines."""

    def __init__(self, name):
        self.name = name
        self.reports, self.implants, self.logs, self.accounts = {}, {}, {}, {}
        self.exits = []
        self.facts = {}
        self.seconds = None

    def link(self, name="Implant"):
        return self.reports[name]["link"]


def prepare(folder):
    """Everything that a guest needs, in `folder`: kernel, binaries, keys, a model."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([HERE / "setup", folder], stdout=subprocess.PIPE, text=True)
    if done.returncode == 3:
        raise Skipped(done.stdout.strip())
    if done.returncode != 0:
        raise RuntimeError(f"setup failed: {done.stdout}")
    build = "cargo build --release --quiet --bin efference --bin firmware-sim -p efference -p firmware-sim"
    subprocess.run([*build.split(), "--features", "firmware-sim/ble"], cwd=ROOT, check=True, stdout=sys.stderr)
    # Of their own, and without what debuggers need: a guest reads them while others build.
    (folder / "bin").mkdir(exist_ok=True)
    for name in ["efference", "firmware-sim"]:
        built, wanted = ROOT / "target" / "release" / name, folder / "bin" / name
        new = wanted.with_suffix(".new")
        subprocess.run(["strip", "-o", new, built], check=True)
        # By what is in them: cargo may bring back an older file.
        if not wanted.exists() or wanted.read_bytes() != new.read_bytes():
            new.replace(wanted)
    binary = folder / "bin" / "efference"
    for key in ["key", "other-key"]:
        if not (folder / key).exists():
            subprocess.run([binary, "pair", folder / key], check=True, stdout=subprocess.DEVNULL)
    if not (folder / "model").exists():
        train = "sim:neuralink-n1,kind=counts,width_ms=20,seconds=40,seed=3 --decoder wiener --lags 3 --out"
        subprocess.run([binary, "train", *train.split(), folder / "model"], check=True, stdout=subprocess.DEVNULL)


def start(folder, scenarios, file=HERE / "scenarios", shift=1):
    """A guest that runs them, one after the other."""
    (folder / "scenarios").write_text(pathlib.Path(file).read_text())
    kernel = next((folder / "kernel" / "boot").glob("vmlinuz-*"))
    command = (
        "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off"
        f" BLE_INIT={HERE / 'guest'} BLE_BIN={folder / 'bin'} BLE_WORK={folder}"
        f" BLE_SCENARIOS={','.join(scenarios)}"
    )
    qemu = (
        f"qemu-system-x86_64 -M pc -accel tcg,thread=single -smp 1 -icount shift={shift},sleep=off -rtc clock=vm -cpu max"
        " -m 1024 -nodefaults -no-reboot -display none -serial stdio"
        " -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
        " -device virtio-9p-pci,fsdev=root,mount_tag=root"
    )
    return subprocess.Popen(
        [*qemu.split(), "-kernel", kernel, "-initrd", folder / "initrd.gz", "-append", command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )


def outcomes(guest, timeout_s=900):
    """What each scenario came to, as the guest ends; the text too."""
    try:
        text = guest.communicate(timeout=timeout_s)[0].decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired:
        guest.kill()
        text = guest.communicate()[0].decode(errors="replace").replace("\r", "")
    found, part = {}, None
    for line in text.splitlines():
        words = line.split()
        mark = words[0] if words else ""
        if mark == "@@begin":
            current = found[words[1]] = Outcome(words[1])
            began, part = float(words[2]), None
        elif mark == "@@end":
            current.seconds = float(words[2]) - began
        elif mark == "@@host":
            current.exits.append(int(words[1].split("=")[1]))
        elif mark == "@@fact":
            current.facts[words[1]] = float(words[2])
        elif mark[2:] in PARTS:
            part = getattr(current, PARTS[mark[2:]])
            key, part[words[1]] = words[1], ""
        elif part is not None:
            part[key] += line + "\n"
    for outcome in found.values():
        for name, report in outcome.reports.items():
            try:
                outcome.reports[name] = json.loads(report)
            except ValueError:
                outcome.reports[name] = None
    return found, text


def number(pattern, text):
    """The first number that a pattern finds in a text; None if it finds none."""
    found = re.search(pattern, text)
    return float(found.group(1)) if found else None

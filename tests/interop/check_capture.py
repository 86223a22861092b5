"""What efference captures of a link, read by an independent reader of pcapng.

In: the paths of efference and of firmware-sim. Both run, as a user would start them: the pretend implant behind a radio that
loses, the host beside it. Guarantees, if it ends with 0: every packet that the host counts stands in the capture once, with
its bytes, its direction and a time that doesn't go back; and neither the key nor the device's name is in it.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, SectionHeader

EFFERENCE, FIRMWARE_SIM, FAULTS = sys.argv[1:4]
SECONDS, USER_0 = 4, 147


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        key, capture = folder / "implant.key", folder / "link.pcapng"
        run(EFFERENCE, "pair", key)
        address = f"unix://{folder}/implant?key={key}"
        implant = subprocess.Popen(
            [FIRMWARE_SIM, "serve", "blackrock-utah,seed=3", "--listen", address, "--faults", FAULTS],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            link = ["link", address, "--seconds", SECONDS, "--capture", capture, "--json"]
            report = json.loads(run(EFFERENCE, *link).splitlines()[-1])
        finally:
            implant.terminate()
            implant.wait()
        check(report, capture, key)


def check(report, capture, key):
    with open(capture, "rb") as file:
        blocks = list(FileScanner(file))
    assert isinstance(blocks[0], SectionHeader)
    interfaces = [block for block in blocks if isinstance(block, InterfaceDescription)]
    assert [interface.link_type for interface in interfaces] == [USER_0, USER_0], interfaces
    packets = [block for block in blocks if isinstance(block, EnhancedPacket)]
    assert len(packets) + len(interfaces) + 1 == len(blocks), "nothing else stands in it"
    times = [packet.timestamp for packet in packets]
    assert times == sorted(times) and times[-1] - times[0] > SECONDS / 2, "times ascend"
    up, down = ([p.packet_data for p in packets if p.interface_id == way] for way in (0, 1))
    ledger = report["ledger"]
    came, went = ledger["packets"], ledger["upward"]
    assert (len(up), sum(map(len, up))) == (came["received"], came["bytes"]), (len(up), came)
    assert (len(down), sum(map(len, down))) == (went["packets"], went["bytes"]), (len(down), went)
    assert report["balanced"] and ledger["datagrams"]["lost"] > 0, ledger["datagrams"]
    everything = capture.read_bytes()
    pairing = key.read_text().split()[-1]
    for secret in (b"blackrock", b"pretend", pairing.encode(), bytes.fromhex(pairing)):
        assert secret not in everything, "what is secret stands in it in the clear"
    print(f"capture: {len(up)} packets up, {len(down)} down, {ledger['datagrams']['lost']} datagrams lost: as the host says")


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


main()

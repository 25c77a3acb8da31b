"""What the benches share: the programs under test, run and measured. Python's own library only."""

import base64
import http.client
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPSFLEET = ROOT / "target" / "release" / "spsfleet"


def build() -> None:
    """Builds the release binary, which is cheap when it is there."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)


def fail(text: str) -> None:
    print(f"FAILED: {text}")
    sys.exit(1)


def memory_high(pid: int) -> int:
    """The most memory a process has had resident, in bytes; 0 when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match.group(1)) * 1024 if match else 0


class Measured:
    """A finished program: exit code, wall seconds, CPU seconds, highest resident memory."""

    def __init__(self, command, log: pathlib.Path):
        before = os.times()
        began = time.monotonic()
        self.memory = 0
        with log.open("w") as out:
            process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out)
            watcher = threading.Thread(target=self._watch, args=(process,), daemon=True)
            watcher.start()
            self.code = process.wait()
            watcher.join()
        self.seconds = time.monotonic() - began
        after = os.times()
        self.cpu = (after.children_user - before.children_user) + (
            after.children_system - before.children_system
        )

    def _watch(self, process) -> None:
        while process.poll() is None:
            self.memory = max(self.memory, memory_high(process.pid))
            time.sleep(0.02)


class Simulated:
    """`spsfleet simulate` for as long as the block lasts."""

    def __init__(self, directory: pathlib.Path, names, speed: float, site=lambda index: "lab"):
        self.directory = directory
        directory.mkdir(parents=True)
        fleet = ["version: 1", "defaults:"]
        fleet += ["  login: { username: bench, password: { env: BENCH } }", "sites:"]
        fleet += [f"  {one}: {{}}" for one in sorted({site(i) for i in range(len(names))})]
        fleet += ["appliances:"]
        for index, name in enumerate(names):
            fleet.append(f"  - {{ name: {name}, address: 192.0.2.1, port: {index + 1}, site: {site(index)} }}")
        inventory = directory / "inventory.yaml"
        inventory.write_text("\n".join(fleet) + "\n")
        self.log = (directory / "simulate.log").open("w")
        self.process = subprocess.Popen(
            [str(SPSFLEET), "simulate", "--fleet", str(inventory), "--dir", str(directory), "--speed", str(speed)],
            stdout=self.log,
            stderr=self.log,
        )
        rollout = directory / "rollout.yaml"
        deadline = time.monotonic() + 120
        while not rollout.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                fail(f"the simulator did not start: see {directory}/simulate.log")
            time.sleep(0.05)
        text = (directory / "fleet.yaml").read_text()
        self.addresses = {}
        for entry in re.split(r"(?m)^- ", text)[1:]:
            field = dict(re.findall(r'(?m)^\s*(name|address|port): "?([^"\n]+)"?$', "\n" + entry))
            self.addresses[field["name"]] = (field["address"], int(field["port"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def rollout(self, name: str, firmware: str, more: str) -> pathlib.Path:
        """Writes a rollout file."""
        path = self.directory / f"{name}.yaml"
        path.write_text(f"version: 1\nname: {name}\nfirmware:\n{firmware}message: bench\n{more}")
        return path

    def run(self, rollout: pathlib.Path) -> Measured:
        """Runs a rollout on a database of its own; the same code must come out."""
        name = rollout.stem
        return Measured(
            [SPSFLEET, "run", "--yes", "--fleet", self.directory / "fleet.yaml", "--state",
             self.directory / f"{name}.db", rollout],
            self.directory / f"{name}.log",
        )

    def events(self, name: str):
        """The events of a rollout."""
        out = subprocess.run(
            [str(SPSFLEET), "events", "--state", str(self.directory / f"{name}.db"), "--output", "json"],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        return [json.loads(line) for line in out.splitlines()]

    def ledger(self):
        """What the appliances saw."""
        with (self.directory / "ledger.jsonl").open() as lines:
            return [json.loads(line) for line in lines]

    def session(self, name: str):
        """A logged-in connection to an appliance: (connection, headers)."""
        address, port = self.addresses[name]
        trust = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        connection = http.client.HTTPSConnection(address, port, context=trust, timeout=60)
        password = (self.directory / "password").read_text()
        token = base64.b64encode(f"fleet-upgrader:{password}".encode()).decode()
        connection.request("GET", "/api/authentication", headers={"Authorization": f"Basic {token}"})
        response = connection.getresponse()
        response.read()
        return connection, {"Cookie": response.getheader("Set-Cookie").split(";")[0]}

    def get(self, name: str, path: str):
        """Asks an appliance."""
        connection, headers = self.session(name)
        connection.request("GET", path, headers=headers)
        body = json.loads(connection.getresponse().read())
        connection.close()
        return body

    def must_run(self, name: str, version: str) -> None:
        """The version is new, and exactly one slot holds it and is the current one."""
        found = self.get(name, "/api/info")["body"]["firmware_version"]
        slots = [item["body"] for item in self.get(name, "/api/firmware/slots")["items"]]
        new = [slot for slot in slots if slot.get("version") == version]
        if found != version or len(new) != 1 or not new[0]["current"]:
            fail(f"{name} runs {found}, slots {slots}")

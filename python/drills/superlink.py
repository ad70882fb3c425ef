"""A SuperLink with five SuperNodes on loopback: one hostile, one killed and started again, and the
SuperLink killed and a new run started from its checkpoint.

    python python/drills/superlink.py [--rounds 8] [--folder DIR]

Every node has an enrolled key, the link TLS. Prints the accuracy of the drill beside that of a run
in which nothing happens, and exits with 1 if they differ by more than two points.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

APP = Path(__file__).parents[1] / "examples" / "flower_numpy"
NODES = 5


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def certificates(folder: Path) -> None:
    """An authority, a server's certificate for loopback, and a key for each node."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8

    def certificate(name: str, key: Any, signer: Any, issuer: str, authority: bool) -> Any:
        made = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(_named(issuer))
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(days=1))
        made = made.not_valid_after(now + datetime.timedelta(days=2))
        made = made.add_extension(x509.BasicConstraints(authority, None), critical=True)
        if not authority:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(signer, hashes.SHA256())

    def _named(name: str) -> Any:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    ca, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.crt").write_bytes(certificate("drill", ca, ca, "drill", True).public_bytes(pem))
    signed = certificate("127.0.0.1", server, ca, "drill", False)
    (folder / "server.pem").write_bytes(signed.public_bytes(pem))
    (folder / "server.key").write_bytes(server.private_bytes(pem, pkcs8, plain))
    openssh = serialization.PrivateFormat.OpenSSH, serialization.PublicFormat.OpenSSH
    for k in range(NODES):
        node = ec.generate_private_key(ec.SECP384R1())
        (folder / f"node{k}").write_bytes(node.private_bytes(pem, openssh[0], plain))
        (folder / f"node{k}").chmod(0o600)
        public = node.public_key().public_bytes(serialization.Encoding.OpenSSH, openssh[1])
        (folder / f"node{k}.pub").write_bytes(public + b"\n")


class Street:
    """The processes of a drill, all of which end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(folder / "home"),
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1", "NO_COLOR": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        (folder / "home").mkdir()
        (folder / "home" / "config.toml").write_text(
            f'[superlink]\ndefault = "drill"\n\n[superlink.drill]\n'
            f'address = "127.0.0.1:{self.port}"\nroot-certificates = "{folder}/ca.crt"\n'
        )

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                words, stdout=log, stderr=log, env=self.environment, start_new_session=True,
                cwd=self.folder,
            )

    def kill(self, name: str) -> None:
        """Kills a process and all that it started."""
        process = self.running.pop(name)
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()

    def superlink(self) -> None:
        at = self.folder
        self.start(
            "superlink", "flower-superlink", "--ssl-ca-certfile", f"{at}/ca.crt",
            "--ssl-certfile", f"{at}/server.pem", "--ssl-keyfile", f"{at}/server.key",
            "--enable-supernode-auth", "--database", f"{at}/state.db", "--host", "127.0.0.1",
            "--port", str(self.port),
        )
        until(lambda: _listens(self.port), "the SuperLink listens", self)

    def supernode(self, k: int) -> None:
        self.start(
            f"node{k}", "flower-supernode", "--root-certificates", f"{self.folder}/ca.crt",
            "--auth-supernode-private-key", f"{self.folder}/node{k}",
            "--superlink", f"127.0.0.1:{self.port}", "--port", str(free_port()),
            "--node-config", f"partition-id={k} num-partitions={NODES}",
        )

    def flwr(self, *words: str) -> str:
        done = subprocess.run(
            ["flwr", *words], capture_output=True, text=True, env=self.environment, timeout=120,
            cwd=self.folder,
        )
        if done.returncode != 0:
            raise RuntimeError(f"flwr {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def run(self, out: Path, rounds: int, hostile: int, resume: bool = False) -> None:
        out.mkdir(exist_ok=True)
        told = f'out="{out}" hostile={hostile} num-server-rounds={rounds} min-nodes=4 timeout=60'
        if resume:
            told += f' resume-from="{out}/round"'
        self.flwr("run", str(APP), "drill", "--run-config", told)

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(true: Callable[[], bool], what: str, street: Street, seconds: float = 240) -> None:
    """Waits for something that comes; fails loudly where it does not."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            logs = sorted(street.folder.glob("*.log"))
            tails = [f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in logs]
            raise TimeoutError(f"{what}: not within {seconds:g} s\n" + "\n".join(tails))
        time.sleep(0.2)


def accuracies(out: Path) -> dict[int, float]:
    path = out / "accuracy.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {line["round"]: line["accuracy"] for line in map(json.loads, lines)}


def drill(folder: Path, rounds: int) -> tuple[float, float]:
    """The accuracies of the run in which nothing happens, and of the one in which all of it does."""
    certificates(folder)
    street = Street(folder)
    try:
        street.superlink()
        for k in range(NODES):
            street.flwr("supernode", "register", f"{folder}/node{k}.pub", "drill")
            street.supernode(k)
        calm, rough = folder / "calm", folder / "rough"
        street.run(calm, rounds, hostile=0)
        until(lambda: rounds in accuracies(calm), "the calm run ends", street, 600)
        street.run(rough, rounds, hostile=1)
        until(lambda: 1 in accuracies(rough), "the first round ends", street)
        street.kill("node3")
        until(lambda: 2 in accuracies(rough), "a round without node 3 ends", street)
        street.supernode(3)
        until(lambda: 3 in accuracies(rough), "a round after its return ends", street)
        street.kill("superlink")
        seen = max(accuracies(rough))
        print(f"the SuperLink was killed after round {seen}", flush=True)
        street.superlink()
        street.run(rough, rounds, hostile=1, resume=True)
        until(lambda: rounds in accuracies(rough), "the resumed run ends", street, 600)
    finally:
        street.close()
    return accuracies(calm)[rounds], accuracies(rough)[rounds]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--folder", type=Path)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="superlink-") as scratch:
        folder = told.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        calm, rough = drill(folder.absolute(), told.rounds)
    print(f"accuracy {calm:.3f} where nothing happens, {rough:.3f} in the drill")
    return int(abs(calm - rough) > 0.02)


if __name__ == "__main__":
    sys.exit(main())

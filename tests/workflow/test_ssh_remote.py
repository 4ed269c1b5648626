"""DVC over ssh against a real sshd on this machine (Debian: openssh-server)."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(SSHD is None, reason="Debian's openssh-server is not installed"),
]


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Start sshd with keys of its own; give its port and the client's key."""
    for name in ("host", "client"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(keygen, check=True)
    shutil.copy(tmp_path / "client.pub", tmp_path / "authorized")
    port = free_port()
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\n"
        f"AuthorizedKeysFile {tmp_path / 'authorized'}\nPidFile {tmp_path / 'pid'}\n"
        "PermitRootLogin yes\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    # sshd wants this folder for its unprivileged half
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([str(SSHD), "-D", "-f", str(tmp_path / "config")])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield port, tmp_path / "client"
    process.terminate()
    process.wait()


def test_a_clone_pulls_over_ssh_and_plans_nothing(
    copied: Checkout, server: tuple[int, Path], tmp_path: Path
) -> None:
    port, key = server
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path / 'storage'}"
    copied.run("git", "clone", "--quiet", str(copied.root), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    for checkout in (copied, clone):
        checkout.dvc("remote", "add", "--local", "--default", "lab", url)
        checkout.dvc("remote", "modify", "--local", "lab", "keyfile", str(key))
    copied.dvc("push")
    clone.dvc("pull")
    assert clone.plan() == {}
    assert "up to date" in clone.dvc("status")
    assert clone.final_files() == copied.final_files()

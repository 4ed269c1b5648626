"""A checkout of its own in which tests run the real Snakemake, DVC and git on a cut of the demo."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dmn.artifacts import sha256
from dmn.audit.commands import copy_sources, environment
from dmn.audit.hashes import read_manifest

REPOSITORY = Path(__file__).resolve().parents[2]
# smaller than config/ci.yaml: every phase runs, the numbers mean nothing
CUT = """
shots: [1]
seeds: {split: [0], order: ["0"]}
views: {test: 2, train: 2}
model: {view_share: 0.5, length: 5}
corruptions: {kinds: [noise], severities: [3]}
pretraining: {steps: 2, batch: 16, captions: 8}
training: {learning_rate: 1.0e-3, epochs: 1}
studies: {main: {}}
"""
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Checkout:
    """A folder with the sources, its own repository, and the tools run in it."""

    root: Path

    def run(self, *command: str, status: int | None = 0, **changes: str) -> Finished:
        """Run a command; fail with its output unless it ends with `status` (None: any)."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment(self.root, {"OMP_NUM_THREADS": "1", **changes}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert status is None or done.returncode == status, f"{command}\n{done.stdout}"
        return done

    def snakemake(self, *arguments: str, status: int | None = 0) -> Finished:
        """Run Snakemake on two cores."""
        command = (sys.executable, "-m", "snakemake", "--cores", "2", *arguments)
        return self.run(*command, status=status)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake as the leader of a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=self.root,
            env=environment(self.root, {"OMP_NUM_THREADS": "1"}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def plan(self, *arguments: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run plans, without the target `all`."""
        done = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in done.stdout:
            return {}
        jobs = re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.MULTILINE)
        assert jobs, done.stdout
        return {rule: int(count) for rule, count in jobs if rule not in ("total", "all")}

    def dvc(self, *arguments: str, status: int | None = 0) -> str:
        """Run DVC and return what it says."""
        return self.run(sys.executable, "-m", "dvc", *arguments, status=status).stdout

    def git(self, *arguments: str) -> str:
        """Run git as a test's identity."""
        return self.run("git", *IDENTITY, *arguments).stdout

    def audit(self, *arguments: str, status: int | None = 0) -> str:
        """Run the audit."""
        return self.run(sys.executable, "-m", "dmn", "audit", *arguments, status=status).stdout

    def hashes(self) -> dict[str, str]:
        """Return the listed hashes of all artifacts and reports."""
        return read_manifest(self.root)

    def state(self, *folders: str) -> dict[str, tuple[str, int]]:
        """Return hash and modification time of each listed file below `folders`."""
        names = [name for name in self.hashes() if name.startswith(folders or ("data/",))]
        return {
            name: (sha256(self.root / name), (self.root / name).stat().st_mtime_ns)
            for name in names
        }

    def final_files(self) -> dict[str, str]:
        """Return the hashes of all files that carry a final name, whether listed or not."""
        files = (
            path
            for folder in ("data", "reports")
            for path in (self.root / folder).rglob("*")
            if path.is_file() and not path.name.startswith(".") and "scratch" not in path.parts
        )
        return {path.relative_to(self.root).as_posix(): sha256(path) for path in files}

    def copy(self, target: Path) -> Checkout:
        """Copy everything, times included."""
        shutil.copytree(self.root, target, symlinks=True)
        return Checkout(target)


def make_checkout(root: Path) -> Checkout:
    """Return a new checkout of the sources as they stand, set to the cut, with one commit."""
    copy_sources(REPOSITORY, root)
    (root / "config/cut.yaml").write_text(CUT)
    (root / "dvc.lock").unlink(missing_ok=True)
    with open(root / "profiles/default/config.yaml", "a") as profile:
        profile.write("configfile:\n  - config/cut.yaml\n")
    checkout = Checkout(root)
    checkout.git("init", "--quiet", "--initial-branch=main")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message=Start")
    return checkout


def living(root: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").resolve() == root.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def kill_group(process: subprocess.Popen[bytes], root: Path) -> None:
    """Send SIGKILL to Snakemake's process group and to every job in its checkout."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while left := living(root):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)

"""A Slurm of one node, as root, in a folder of its own (Debian: slurm-wlm, munge)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


def missing() -> str:
    """Return why no cluster can be started here, or nothing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if lacking:
        return f"Debian's slurm-wlm and munge are not installed ({', '.join(lacking)})"
    return "" if os.geteuid() == 0 else "starting Slurm's daemons needs root"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def configuration(folder: Path) -> str:
    """Return slurm.conf: one node with all cores, a pretended GPU, no accounting."""
    control, node = free_ports(2)
    host = socket.gethostname()
    return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=5
MinJobAge=600
ReturnToService=2
MpiDefault=none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; give the environment that finds them."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    (folder / "slurm.conf").write_text(configuration(folder))
    (folder / "gpu0").touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu0\n")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    whole = {**os.environ, **environment}
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
    munged += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    daemons = []
    try:
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
            log = open(folder / f"{command[0]}.out", "w")  # noqa: SIM115
            daemons.append(subprocess.Popen(command, env=whole, stdout=log, stderr=log))
            time.sleep(1)
        wait_until_idle(whole, folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    """Wait until the node takes jobs."""
    for _ in range(60):
        command = ["sinfo", "--noheader", "--format=%T"]
        said = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        ).stdout
        if said.strip() in ("idle", "mixed", "allocated"):
            return
        time.sleep(1)
    logs = "\n".join(path.read_text() for path in sorted(folder.glob("slurm*.log")))
    raise AssertionError(f"the node did not come up: {said}\n{logs}")

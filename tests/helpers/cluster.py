"""A real SLURM of one node on the loopback, for the time of a test run.

munged, slurmctld and slurmd run as root in a folder of their own, without systemd, cgroups or
accounting. GPUs are bookkeeping: any device file does, because SLURM only counts them. Whatever
was started is stopped again, by the process ids that the daemons recorded.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
# Debian's programs look here. SLURM_CONF would not do: the step executor drops it for its srun.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")
CONFIGURATION = """\
ClusterName=advprune
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,sched_min_interval=0
ReturnToService=2
MinJobAge=3600
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """The daemons and their folder. Every method is safe to call at any time."""

    def __init__(self, root: Path, cpus: int = 4, gpus: int = 2) -> None:
        self.root, self.cpus, self.gpus = root, cpus, gpus
        self.host = socket.gethostname().split(".")[0]

    @staticmethod
    def obstacle() -> str:
        """Why no cluster can be started here; empty if nothing is in the way."""
        missing = [name for name in DAEMONS if shutil.which(name) is None]
        if missing:
            return f"{', '.join(missing)} not installed (Debian: slurm-wlm and munge)"
        if os.geteuid() != 0:
            return "the daemons must be started as root"
        taken = [str(ETC / name) for name in FILES if os.path.lexists(ETC / name)]
        if taken:
            return f"{' and '.join(taken)} is there: this machine has a SLURM of its own"
        return ""

    def start(self) -> None:
        """Write the configuration, start the daemons and wait until the node takes jobs."""
        for folder in ("state", "spool"):
            (self.root / folder).mkdir(parents=True)
        self.root.chmod(0o755)  # munged accepts no socket that others could replace
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        text = CONFIGURATION.format(
            root=self.root,
            host=self.host,
            cpus=self.cpus,
            gpus=self.gpus,
            memory=int(0.9 * pages * size) >> 20,
        )
        (self.root / "slurm.conf").write_text(text, encoding="utf-8")
        lines = [f"NodeName={self.host} Name=gpu File={d}\n" for d in DEVICES[: self.gpus]]
        (self.root / "gres.conf").write_text("".join(lines), encoding="utf-8")
        ETC.mkdir(exist_ok=True)
        for name in FILES:
            (ETC / name).symlink_to(self.root / name)
        self._start_munge()
        self._run("slurmctld", "-c")
        self._wait(lambda: self.ask("scontrol", "ping", check=False).count("is UP"))
        self._run("slurmd", "-N", self.host)
        self._wait(lambda: self.ask("sinfo", "-h", "-o", "%T", check=False).strip() == "idle")

    def _start_munge(self) -> None:
        key = self.root / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        places = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munged.pid"}
        places |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        self._run("munged", "--force", *(f"--{k}={self.root / v}" for k, v in places.items()))

    def stop(self) -> None:
        """Cancel all jobs and stop the daemons, the last started first."""
        if (self.root / "slurmctld.pid").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(["scancel", "--user=root"], timeout=10, check=False)
        for name in reversed(DAEMONS):
            self._stop(name)
        for name in FILES:
            link = ETC / name
            if link.is_symlink() and link.readlink() == self.root / name:
                link.unlink()

    def _stop(self, name: str) -> None:
        """End one daemon, if the recorded process is still that daemon."""
        file = self.root / f"{name}.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = int(file.read_text(encoding="utf-8"))
            comm = Path(f"/proc/{pid}/comm")
            if comm.read_text(encoding="utf-8").strip() != name:
                return
            os.kill(pid, 15)
            self._wait(lambda: not comm.exists())

    def ask(self, *command: str, check: bool = True) -> str:
        """Standard output of one of SLURM's programs."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=check)
        return done.stdout

    def jobs(self) -> list[str]:
        """Ids of the jobs that wait or run."""
        return self.ask("squeue", "-h", "-t", "PD,R,CG", "-o", "%i").split()

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}\n{self._logs()}")

    def _wait(self, condition, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"SLURM is not ready after {seconds} s\n{self._logs()}")
            time.sleep(0.1)

    def _logs(self) -> str:
        parts = [
            f"{p.name}:\n{p.read_text(encoding='utf-8')[-1500:]}"
            for p in sorted(self.root.glob("*.log"))
        ]
        return "\n".join(parts)

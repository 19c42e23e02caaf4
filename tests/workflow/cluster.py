"""A SLURM cluster on this machine, from Debian's packages, in a folder of its own.

    python tests/workflow/cluster.py start FOLDER [--no-accounting] [--gpus 1]
    sinfo; snakemake --profile slurm; ...
    python tests/workflow/cluster.py stop FOLDER

Needs root and the packages slurm-wlm and munge, with accounting slurmdbd and mariadb-server too. Everything listens
on loopback. While it runs, /etc/slurm/slurm.conf is a link to its configuration: jobs find it nowhere else. Its GPU
is make-believe: SLURM hands it out and queues for it, but there is no device behind it.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for this file as a program
from processes import still_runs

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
ACCOUNTING = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
DAEMONS = ("slurmctld", "slurmdbd", "mariadbd", "munged")  # in the order in which they are stopped, after the nodes'

# Snakemake's job steps drop every variable that begins with SLURM_, so SLURM_CONF would not reach `srun` in a job.
DEFAULT_CONF = Path("/etc/slurm/slurm.conf")

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# A job that takes more memory than it asked for is ended, as control groups do it on real clusters.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
ReturnToService=2
SlurmdTimeout=10
KillWait=30
MinJobAge={min_job_age}
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
OverTimeLimit=0
GresTypes=gpu
SlurmdParameters=config_overrides
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

NODE_CONF = """
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} Gres=gpu:{gpus} State=UNKNOWN \\
CPUs={cpus} RealMemory={memory}
"""

ACCOUNTING_CONF = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[2]}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
"""

SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[2]}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[3]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""


def missing(accounting: bool = True) -> str | None:
    """Why there can be no cluster on this machine; None if there can."""
    if os.geteuid() != 0:
        return "a test cluster needs root"
    if DEFAULT_CONF.exists() and not left_over():
        return f"{DEFAULT_CONF} is there: this machine belongs to a cluster already"
    absent = [name for name in PROGRAMS + (ACCOUNTING if accounting else ()) if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (Debian: slurm-wlm munge slurmdbd mariadb-server)" if absent else None


def left_over() -> bool:
    """Whether the link to a configuration is that of a test cluster whose tests were killed before they stopped it."""
    owner = DEFAULT_CONF.resolve().with_name("owner")
    dangling = not DEFAULT_CONF.exists()
    return DEFAULT_CONF.is_symlink() and (dangling or (owner.is_file() and not still_runs(int(owner.read_text()))))


class Cluster:
    """The cluster whose files lie in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.environment = os.environ | {"SLURM_CONF": f"{self.folder}/slurm.conf"}  # for slurmdbd.conf, gres.conf

    def start(self, accounting: bool = True, gpus: int = 1, nodes: int = 1, min_job_age: int = 600):
        """Write the configuration and start every daemon. `gpus`: of each node; min_job_age in seconds."""
        names = [f"node{number}" for number in range(1, nodes + 1)]
        for name in ("state", *(f"spool/{name}" for name in names)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        facts = {"folder": self.folder, "host": socket.gethostname(), "ports": _free_ports(4 + nodes)}
        conf = SLURM_CONF.format(**facts, min_job_age=min_job_age)
        conf += ACCOUNTING_CONF.format(**facts) if accounting else ""
        for name, port in zip(names, facts["ports"][4:], strict=True):
            conf += NODE_CONF.format(**facts, name=name, port=port, gpus=gpus, cpus=4, memory=16000)
        self._write("slurm.conf", conf)
        DEFAULT_CONF.parent.mkdir(exist_ok=True)
        if left_over():
            Cluster(DEFAULT_CONF.resolve().parent).stop()
        self._write("owner", f"{os.getpid()}")
        DEFAULT_CONF.symlink_to(self.folder / "slurm.conf")
        self._write("gres.conf", f"Name=gpu File=/dev/null Count={gpus}" if gpus == 1 else f"Name=gpu Count={gpus}")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        try:
            self._start_munge()
            if accounting:
                self._start_accounting(facts)
            self.start_controller()
            for name in names:
                self.start_node(name)
        except BaseException:
            self.stop()
            raise

    def kill_controller(self) -> None:
        """An outage: slurmctld and, with accounting, slurmdbd are gone at once. Jobs go on."""
        self._kill("slurmctld")
        self._kill("slurmdbd")

    def start_controller(self) -> None:
        """Start slurmdbd, with accounting, and slurmctld, unless they run, and wait until they answer."""
        if (self.folder / "slurmdbd.conf").is_file() and not (self.folder / "slurmdbd.pid").is_file():
            self.run("slurmdbd")
            self.wait_for("sacctmgr", "--noheader", "--parsable2", "list", "user", until="root|")
        if not (self.folder / "slurmctld.pid").is_file():
            self.run("slurmctld")
        self.wait_for("scontrol", "ping", until="UP")

    def start_node(self, name: str = "node1") -> None:
        """Start a node's daemon and wait until the cluster has the node."""
        self.run("slurmd", "-N", name)
        self.wait_for("sinfo", "--noheader", "--nodes", name, "--format", "%T", until="idle", also="mixed")

    def kill_node(self, name: str = "node1") -> None:
        """A node loses its power: its daemon, its jobs and all that they started are gone at once."""
        # Of each step that runs there is a socket NODE_JOB.STEP.
        jobs = {path.name.removeprefix(f"{name}_").split(".")[0] for path in self.folder.glob(f"spool/{name}/{name}_*")}
        self._kill(name)
        for process in psutil.process_iter(["name", "cmdline"]):
            # slurmstepd calls itself `slurmstepd: [JOB.STEP]`.
            if any(f"slurmstepd: [{job}." in " ".join(process.info["cmdline"] or []) for job in jobs):
                for each in (process, *process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        each.kill()

    def run(self, *command: str, check: bool = True, **options) -> str:
        """What a command prints, run against this cluster."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def wait_for(self, *command: str, until: str, also: str = "", seconds: float = 60) -> str:
        """Run a command until what it prints contains `until` (or `also`)."""
        end = time.monotonic() + seconds
        while True:
            text = self.run(*command, check=False)
            if until in text or (also and also in text):
                return text
            if time.monotonic() > end:
                raise RuntimeError(f"{' '.join(command)}: no {until!r} in {seconds:g} s, but {text!r}\n{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        """The last lines of every daemon's log."""
        return "\n".join(f"{log.name}:\n" + log.read_text()[-2000:] for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End all jobs and all daemons."""
        self.run("scancel", "--signal=KILL", "--user=root", check=False)
        nodes = sorted(path.stem for path in self.folder.glob("node*.pid"))
        for name in (*nodes, *DAEMONS):
            self._kill(name)
        if DEFAULT_CONF.is_symlink() and DEFAULT_CONF.readlink() == self.folder / "slurm.conf":
            DEFAULT_CONF.unlink()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text.lstrip())
        path.chmod(0o600)

    def _start_munge(self) -> None:
        where = [f"--{name}={self.folder}/munge.{end}" for name, end in (("socket", "socket"), ("key-file", "key"))]
        where += [f"--{name}={self.folder}/munge{end}" for name, end in (("log-file", "d.log"), ("seed-file", ".seed"))]
        self.run("munged", "--force", f"--pid-file={self.folder}/munged.pid", *where)

    def _start_accounting(self, facts: dict) -> None:
        """MariaDB, reached through a socket only, slurmdbd, and the cluster and an account in them."""
        where = ["--no-defaults", f"--datadir={self.folder}/mariadb", "--user=root"]
        self.run("mariadb-install-db", *where, "--auth-root-authentication-method=normal")
        where += [f"--pid-file={self.folder}/mariadbd.pid", f"--socket={self.folder}/mariadb.socket"]
        where += ["--bind-address=127.0.0.1", f"--port={facts['ports'][3]}", "--innodb-buffer-pool-size=64M"]
        with (self.folder / "mariadbd.log").open("w") as log:
            # In a session of its own, and no child of ours: a test must not leave one that nobody waits for.
            subprocess.run(["setsid", "--fork", "mariadbd", *where], stdout=log, stderr=log, check=True)
        self.wait_for("mariadb-admin", "--no-defaults", f"--socket={self.folder}/mariadb.socket", "ping", until="alive")
        grant = "CREATE USER slurm@localhost IDENTIFIED BY 'slurm'; GRANT ALL ON slurm.* TO slurm@localhost"
        self.run("mariadb", "--no-defaults", f"--socket={self.folder}/mariadb.socket", f"--execute={grant}")
        self._write("slurmdbd.conf", SLURMDBD_CONF.format(**facts))
        self.run("slurmdbd")
        self.wait_for("sacctmgr", "--noheader", "--parsable2", "list", "user", until="root|")
        self.run("sacctmgr", "--immediate", "add", "cluster", "test")
        self.run("sacctmgr", "--immediate", "add", "account", "lab", "Cluster=test")
        self.run("sacctmgr", "--immediate", "add", "user", "root", "Account=lab")

    def _kill(self, name: str) -> None:
        """End one daemon, if it runs, and wait until it is gone."""
        path = self.folder / f"{name}.pid"
        try:
            pid = int(path.read_text())
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(20)
        path.unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounting", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--gpus", type=int, default=1)
    args = parser.parse_args()
    if args.action == "stop":
        Cluster(args.folder).stop()
    elif why := missing(args.accounting):
        sys.exit(f"error: {why}")
    else:
        cluster = Cluster(args.folder)
        cluster.start(args.accounting, args.gpus)
        shutil.copy(cluster.folder / "slurmctld.pid", cluster.folder / "owner")  # this process ends now, it stays


if __name__ == "__main__":
    main()

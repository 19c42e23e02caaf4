"""Pin every package, in one go: `make lock` (or `uv run --no-project python envs/lock.py`).

Resolves the dependencies of pyproject.toml for all platforms and writes the same versions to three places:
requirements.lock (with sha256 hashes, for pip), the constraints in pyproject.toml (for uv, which keeps its own
uv.lock out of git because that file is full of download addresses) and the pins in envs/*.yaml (for conda).
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = re.compile(r"(# BEGIN constraints\nconstraint-dependencies = \[\n).*?(\]\n# END constraints)", re.S)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))?(?: \\)?$")


def pins(lock_text: str) -> list[tuple[str, str, str]]:
    """(name, version, environment marker or '') of every line of a lock file that pins a package."""
    return [(m[1], m[2], m[3] or "") for m in map(PIN.match, lock_text.splitlines()) if m]


def resolve() -> str:
    """The text of a new requirements.lock, from pyproject.toml without its old constraints."""
    with tempfile.TemporaryDirectory() as folder:
        project = (ROOT / "pyproject.toml").read_text()
        (Path(folder) / "pyproject.toml").write_text(CONSTRAINTS.sub(r"\1\2", project))
        command = [
            shutil.which("uv") or "uv",
            "pip",
            "compile",
            "--universal",
            "--python-version",
            "3.11",
            "--quiet",
        ]
        command += [
            "--group",
            "dev",
            "--generate-hashes",
            "--no-header",
            "pyproject.toml",
            "-o",
            "requirements.lock",
        ]
        subprocess.run(command, cwd=folder, check=True)
        return (Path(folder) / "requirements.lock").read_text()


def main() -> None:
    """Resolve, then write the three places."""
    lock = "# Written by `make lock`. For pip: pip install --require-hashes -r requirements.lock\n" + resolve()
    (ROOT / "requirements.lock").write_text(lock)

    found = pins(lock)
    lines = "".join(f'    "{n}=={v}{f" ; {marker}" if marker else ""}",\n' for n, v, marker in found)
    project = ROOT / "pyproject.toml"
    project.write_text(CONSTRAINTS.sub(lambda m: m[1] + lines + m[2], project.read_text()))

    # The conda environments run Python 3.12, so the pin that holds there is the one without an upper limit.
    versions = {n: v for n, v, marker in found if "python_full_version < '3.12'" not in marker}
    for environment in sorted((ROOT / "envs").glob("*.yaml")):
        text = re.sub(
            r"^(\s+- )([A-Za-z0-9._-]+)==\S+$",
            lambda m: f"{m[1]}{m[2]}=={versions[m[2].lower()]}",
            environment.read_text(),
            flags=re.M,
        )
        environment.write_text(text)
    print(f"pinned {len(found)} packages", file=sys.stderr)


if __name__ == "__main__":
    main()

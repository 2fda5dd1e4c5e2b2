"""Build the wheel, compare it with the source tree, and start it from an environment and a folder of its own.

Run by ``make test`` as a program, not by pytest: it installs a fresh environment, which takes too long for a test.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("acquisition", "analysis", "drivers", "gui", "simulators")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; its output, or its errors and the end."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Check the wheel, or end with what is wrong with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("*.whl")
        held = set(zipfile.ZipFile(wheel).namelist())
        wanted = {
            f"halidescope/{path.relative_to(ROOT)}"
            for floor in FLOORS
            for path in (ROOT / floor).rglob("*")
            if path.suffix in {".py", ".typed", ".toml", ".html", ".css", ".svg"}
        }
        if missing := wanted - held:
            sys.exit(f"the wheel lacks {sorted(missing)}: add the package to [tool.setuptools] packages")
        if strangers := {top for entry in held if (top := entry.split("/")[0]) in {*FLOORS, "tests"}}:
            sys.exit(f"the wheel would put {sorted(strangers)} into a user's site-packages")
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=folder)
        text = run(python.with_name("halidescope"), "--help", cwd=folder)
        for verb in ("demo", "simulate", "check", "run", "analyse", "convert", "devices", "view", "kmc"):
            if verb not in text:
                sys.exit(f"`halidescope --help` of the installed wheel does not name {verb}:\n{text}")
    print(f"wheel holds {len(wanted)} files and starts from a fresh environment")  # noqa: T201


if __name__ == "__main__":
    main()

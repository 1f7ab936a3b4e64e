"""Runs clang-tidy on translation units, the newest first, until a time is up. Used by scripts/tidy."""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def units_of(root, build):
    """Each of our translation units with the sources that it holds, one or a group."""
    units = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        unit = pathlib.Path(entry["file"])
        if unit.parent.name == "Unity":
            sources = [pathlib.Path(name) for name in re.findall(r'#include "(.*)"', unit.read_text())]
        else:
            sources = [unit]
        own = [source.relative_to(root).as_posix() for source in sources if source.is_relative_to(root) and not source.is_relative_to(build)]
        if own:
            units[str(unit)] = own
    return units


def touched(root, since):
    """Sources that commits touch, those of the newest commit first. A header stands for the source beside it."""
    log = subprocess.run(["git", "log", f"--since={since} ago", "--name-only", "--pretty=format:"], cwd=root, check=True, capture_output=True,
                         text=True).stdout
    names = [re.sub(r"\.h$", ".cpp", name) for name in log.split()]
    return list(dict.fromkeys(names))


def check(unit, build):
    run = subprocess.run(["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", str(build), unit], capture_output=True, text=True)
    return run.returncode, run.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--since", default="")
    parser.add_argument("--within", default="")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    units = units_of(arguments.root, arguments.build)

    if arguments.since:
        wanted = touched(arguments.root, arguments.since)
    else:
        here = pathlib.Path.cwd()
        wanted = [(here / name).resolve().relative_to(arguments.root).as_posix() for name in arguments.files]
        unknown = [name for name in wanted if not any(name in sources for sources in units.values())]
        if unknown:
            sys.exit(f"error: not a source that this machine builds: {', '.join(unknown)}")
    # A source may be compiled into several programs: the first unit is enough.
    unit_of = {}
    for unit, sources in units.items():
        for source in sources:
            unit_of.setdefault(source, unit)
    chosen = list(dict.fromkeys(unit_of[name] for name in wanted if name in unit_of)) if wanted or arguments.since else list(
        dict.fromkeys(unit_of.values()))

    end = time.monotonic() + float(arguments.within) if arguments.within else float("inf")
    n_checked = n_wrong = 0

    def run(unit):
        return check(unit, arguments.build) if time.monotonic() < end else None

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for unit, result in zip(chosen, pool.map(run, chosen)):
            if result is None:
                continue
            n_checked += 1
            status, output = result
            n_wrong += status != 0
            if status != 0:
                print(output or f"clang-tidy failed on {unit}", flush=True)
    rest = f"; {len(chosen) - n_checked} more did not fit into {arguments.within} seconds" if n_checked < len(chosen) else ""
    print(f"clang-tidy: {n_checked} of {len(chosen)} translation units checked, {n_wrong} with findings{rest}")
    sys.exit(n_wrong > 0)


main()

"""Attack the web page as an anonymous visitor may, for a minute, and say what it took of the server.

    python tests/slow/attack_page.py
    python tests/slow/attack_page.py --seconds 10 --max_megapixels 2 --max_megabytes 4

It starts scripts/app.py on a free port of this machine and does to it, at once and from a hundred addresses
(X-Forwarded-For, which the page believes from this machine alone): captions as long as the page takes and longer,
bodies longer than they say, bodies that drip, uploads that nobody uses, connections that say nothing, sessions and
streams without end, answers that nobody reads, nonsense, and photographs as large as the page takes.

Then it prints the server's peak memory and disk and the worst answer of /health, and whether the next visitor gets a
picture and everything is given back. The exit status is 1 where that is not so, or where a bound is broken: a second
for /health, --most_memory, and for the disk what webapp/limits.py says. Linux: the figures come from /proc.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from page_attacks import ATTACKS, PATIENCE, Client, photograph

from webapp import uploads
from webapp.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
SLOWEST = 1.0  # seconds for /health
PAUSE = 0.1  # seconds between two attacks of a kind: they run on the server's own cores
LONGEST_LOG = 1e6  # bytes


class Server:
    """scripts/app.py as a process, with a temporary folder of its own."""

    def __init__(self, folder: Path, flags: list[str]) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "scripts/app.py", "--port", "0", *flags],
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(self.folder)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        select.select([self.process.stdout], [], [], 10 * PATIENCE)
        self.address = urlsplit(self.process.stdout.readline().strip()).netloc
        if not self.address:
            raise SystemExit(f"attack_page.py: the page did not start: {self.log.read_text()}")

    @property
    def memory(self) -> int:
        """The most that it had so far, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) // 1000

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def disk(self) -> int:
        """Bytes: of files with a name, and of those that are open and have none any more."""
        sizes = {}
        named = [os.path.join(folder, name) for folder, _, names in os.walk(self.folder) for name in names]
        descriptors = f"/proc/{self.process.pid}/fd"
        for path in named + [os.path.join(descriptors, name) for name in os.listdir(descriptors)]:
            with contextlib.suppress(OSError):
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode) and (path.startswith(str(self.folder)) or not status.st_nlink):
                    sizes[status.st_ino] = status.st_size
        return sum(sizes.values())


# ---- the minute, and what is seen of it


class Watch:
    """Asks /health and looks at the disk until `stop`, from a thread of each."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.worst = 0.0  # seconds
        self.answers = 0
        self.disk = 0  # bytes
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=look) for look in (self._ask, self._measure)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        while not self.stop.wait(0.1):
            began = time.monotonic()
            try:
                connection = http.client.HTTPConnection(self.server.address, timeout=PATIENCE)
                with contextlib.closing(connection):
                    connection.request("GET", "/health")
                    answer = connection.getresponse()
                    answered = answer.status == 200 and json.loads(answer.read())["status"] == "ok"
            except (OSError, http.client.HTTPException, ValueError):
                answered = False
            self.worst = max(self.worst, time.monotonic() - began if answered else float("inf"))
            self.answers += answered

    def _measure(self) -> None:
        while not self.stop.wait(0.3):
            self.disk = max(self.disk, self.server.disk)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def attack(server: Server, seconds: float, photo: bytes) -> Counter[str]:
    """All attacks at once. How often each was done."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds

    def repeat(one: Callable[[Client, bytes], None], seed: int) -> None:
        client = Client(server.address, seed)
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):  # refused, or ended: it goes on
                one(client, photo)
            done[one.__name__] += 1
            time.sleep(PAUSE)

    threads = [threading.Thread(target=repeat, args=(one, seed)) for seed, one in enumerate(ATTACKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def aftermath(server: Server, open_files: int) -> list[str]:
    """What is wrong when all have left: with the next visitor, with connections, and when the server ends."""
    faults = []
    client = Client(server.address, -1)
    path = client.upload(photograph(0.1, 1))
    pictures = client.color(path, "a red wall") if path is not None else []
    if len(pictures) < 3 or any(client.ask("GET", picture)[0] != 200 for picture in pictures):
        faults.append(f"the next visitor gets no pictures: {pictures}")
    end = time.monotonic() + PATIENCE
    while (left := server.open_files - open_files) > 5 and time.monotonic() < end:
        time.sleep(0.5)
    if left > 5:
        faults.append(f"{left} files or connections are still open")
    server.process.send_signal(signal.SIGTERM)
    try:
        if status := server.process.wait(PATIENCE):
            faults.append(f"the server ends with status {status}")
    except subprocess.TimeoutExpired:
        faults.append("the server does not end")
    if left_over := [path.name for path in server.folder.rglob("*") if path.is_file()]:
        faults.append(f"{len(left_over)} files are left, as {left_over[0]}")
    return faults


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the attack (default: 60)")
    parser.add_argument("--most_memory", type=float, default=4000.0, help="of the server, MB (default: 4000)")
    parser.add_argument("--checkpoint", help="of the page (default: its own)")
    parser.add_argument(
        "--max_megapixels", type=float, default=Limits.megapixels, help="of the page (default: its own)"
    )
    parser.add_argument("--max_megabytes", type=float, default=Limits.megabytes, help="of the page (default: its own)")
    asked = parser.parse_args(arguments)
    limits = Limits(asked.max_megapixels, asked.max_megabytes)
    flags = ["--max_megapixels", str(limits.megapixels), "--max_megabytes", str(limits.megabytes), "--device", "cpu"]
    flags += ["--checkpoint", asked.checkpoint] if asked.checkpoint else []
    photo = photograph(limits.megapixels, limits.megabytes)
    files = uploads._FILES[1] + 2 * uploads.ARRIVING[1].count  # what arrives is copied once it is whole
    disk = limits.disk + files * limits.upload
    with tempfile.TemporaryDirectory(prefix="lcoins-attack-") as folder:
        server = Server(Path(folder), flags)
        try:
            before, open_files = server.memory, server.open_files
            watch = Watch(server)
            done = attack(server, asked.seconds, photo)
            watch.end()
            memory, log = server.memory, server.log.stat().st_size
            faults = aftermath(server, open_files)
        finally:
            server.process.kill()
            server.process.wait()
        print(f"done: {', '.join(f'{count} {name}' for name, count in done.items())}")
        print(f"memory: {memory} MB at most, {before} before; disk: {watch.disk / 1e6:.0f} MB; log: {log} bytes")
        print(f"/health: {watch.answers} answers, the worst after {watch.worst:.2f} s")
        if log:
            print(f"the log begins: {server.log.read_text()[:2000]}")
    faults += [f"/health took {watch.worst:.2f} s"] * (watch.worst > SLOWEST)
    faults += [f"memory: more than {asked.most_memory:g} MB"] * (memory > asked.most_memory)
    faults += [f"disk: more than {disk / 1e6:.0f} MB"] * (watch.disk > disk)
    faults += [f"log: more than {LONGEST_LOG / 1e6:g} MB"] * (log > LONGEST_LOG)
    print("\n".join(faults) if faults else "every bound held, and everything was given back")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

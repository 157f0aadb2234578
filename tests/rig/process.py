"""Programs that the rig starts: each with a log file, each stopped by its own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
"""The project's root folder."""


class RigError(Exception):
    """Something in the rig did not come up or did not do what it had to; the text says what."""


class Process:
    """One running program, its standard output and error going to one log file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        # Envoy is ended by the kernel when the thread that started it ends, so programs are
        # started from the main thread only.
        with log.open("ab") as output:
            try:
                self._child = subprocess.Popen(
                    [str(part) for part in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                )
            except OSError as error:
                raise RigError(f"{name} cannot be started: {argv[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        return self._child.poll()

    @property
    def peak_bytes(self) -> int:
        """The resident memory that it has needed so far at most, while it runs."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peak.split()[1]) << 10

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Wait until `ready` holds; fail with the log's tail if it ends first or never does."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.exit_status is not None:
                raise RigError(
                    f"{self.name} ended with status {self.exit_status} before {what}; "
                    f"its log ({self.log}) ends:\n{self.tail()}"
                )
            if ready():
                return
            time.sleep(0.05)
        raise RigError(
            f"{self.name}: not {what} after {timeout:.0f} s; its log ({self.log}) ends:\n"
            f"{self.tail()}"
        )

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.exit_status is None:
            self._child.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit status."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise RigError(f"{self.name} still runs after {timeout:.0f} s") from error

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end, and kill it if it has not after `timeout` seconds."""
        self.send_signal(signal.SIGTERM)
        # A stopped process takes SIGTERM only after it goes on.
        self.send_signal(signal.SIGCONT)
        try:
            self.wait(timeout)
        except RigError:
            # With what it has started itself, such as the Envoy of an agent.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()


class Run:
    """A folder for one run's files, and the programs started in it, stopped last first."""

    def __init__(self, name: str) -> None:
        stamp = time.strftime("%H%M%S")
        self.directory = ROOT / ".run" / f"{name}-{stamp}-{os.getpid()}"
        suffix = 0
        while self.directory.exists():
            suffix += 1
            self.directory = self.directory.with_name(f"{name}-{stamp}-{os.getpid()}-{suffix}")
        self.directory.mkdir(parents=True)
        self._closers: list[Callable[[], None]] = []

    def spawn(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a program with its log in this run's folder."""
        process = Process(name, argv, self.directory / f"{name}.log", env)
        self._closers.append(process.stop)
        return process

    def on_close(self, closer: Callable[[], None]) -> None:
        """Call `closer` when the run ends, before what was started earlier is stopped."""
        self._closers.append(closer)

    def write(self, name: str, text: str) -> Path:
        """Write a file into this run's folder, in one step, so that no reader sees half of it."""
        path = self.directory / name
        partial = path.with_name(f".{name}.partial")
        partial.write_text(text)
        partial.rename(path)
        return path

    def close(self) -> None:
        """Stop everything, also when stopping one of them fails."""
        failure: Exception | None = None
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as error:  # noqa: BLE001, each of them has to be stopped
                failure = error
        if failure is not None:
            raise failure

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    """Wait until `condition` holds, or fail saying `what` did not."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RigError(f"after {timeout:.0f} s still not: {what}")
        time.sleep(0.05)

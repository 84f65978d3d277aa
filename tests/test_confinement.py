"""Behind the tracker's walls: no socket, no program, no other process, no file but its own, on both machines."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from avatar.sandbox import confinement
from avatar.sandbox.child_process import cage_environment
from avatar.sandbox.confinement import confine, why_files_stay_open
from avatar.sandbox.landlock import landlock_version
from avatar.sandbox.seccomp import Only, filter_program
from avatar.sandbox.system_calls import MACHINES, NUMBERS, number
from avatar.tracking.model_asset import tracker_model
from engines.child_process import without_secrets
from tests.portraits import head

ALLOW = 0x7FFF0000
REFUSE, UNKNOWN = 0x50000 | errno.EACCES, 0x50000 | errno.ENOSYS
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
OWN_PID = 4321


def verdict(program: bytes, architecture: int, call: int, *arguments: int) -> int:
    """What the kernel answers: a classic BPF machine, as far as such filters need one."""
    data = struct.pack("=IIQ6Q", call, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    lines = list(struct.iter_unpack("HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = lines[at]
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:  # BPF_RET
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += if_true if holds else if_false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cage_filter(machine: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The program that `confine` gives to the kernel of that machine."""
    given: list[bytes] = []

    def refuse(calls: Iterable[str], some: Iterable[Only], unknown: Iterable[str]) -> str:
        given.append(filter_program(machine, calls, some, unknown))
        return "only looked at"

    monkeypatch.setattr(confinement, "refuse", refuse)
    monkeypatch.setattr(confinement, "_limit_itself", lambda: None)
    monkeypatch.setattr(os, "getpid", lambda: OWN_PID)
    confine([])
    return given[0]


THREAD = 0x3D0F00  # the flags with which the C library starts one
RDONLY, WRONLY_CREATE, TRUNCATE = 0o2000000, 0o101, 0o1000


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("socket", (1,), REFUSE),
        ("execve", (), REFUSE),
        ("execveat", (), REFUSE),
        ("fork", (), REFUSE),
        ("vfork", (), REFUSE),
        ("clone", (17,), REFUSE),  # SIGCHLD: a fork
        ("clone", (0x4111,), REFUSE),  # CLONE_VFORK | CLONE_VM | SIGCHLD: posix_spawn
        ("clone", (0x10000011,), REFUSE),  # with CLONE_NEWUSER, where everybody is root
        ("clone", (THREAD,), ALLOW),
        ("clone3", (), UNKNOWN),
        ("kill", (OWN_PID, 6), ALLOW),
        ("kill", (OWN_PID + 1, 6), REFUSE),
        ("kill", (2**64 - 1, 6), REFUSE),  # everybody
        ("tgkill", (OWN_PID, 5, 6), ALLOW),
        ("tgkill", (1, 1, 6), REFUSE),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), REFUSE),
        ("openat", (0, 0, RDONLY), ALLOW),
        ("openat", (0, 0, WRONLY_CREATE), REFUSE),
        ("openat", (0, 0, TRUNCATE), REFUSE),
        ("open", (0, RDONLY), ALLOW),
        ("open", (0, WRONLY_CREATE), REFUSE),
        ("openat2", (), REFUSE),
        ("fcntl", (1, 3), ALLOW),
        ("fcntl", (1, 8, 1), REFUSE),
        ("ioctl", (1, 0x5401), ALLOW),
        ("ioctl", (1, 0x5412), REFUSE),
        ("prctl", (15,), ALLOW),
        ("prctl", (1, 0), REFUSE),
        ("chmod", (), REFUSE),
        ("fchmodat", (), REFUSE),
        ("shmget", (), REFUSE),
        ("ptrace", (), REFUSE),
        ("seccomp", (), ALLOW),  # further filters only refuse more
    ],
)
def test_the_filter_of_both_machines(
    call: str, arguments: tuple[int, ...], expected: int, machine: str, cage_filter: bytes
) -> None:
    call_number = number(call, machine)
    if call_number is None:
        pytest.skip(f"{machine} has no {call}")
    assert verdict(cage_filter, ARCHITECTURES[machine], call_number, *arguments) == expected


def test_other_conventions_are_refused_altogether(machine: str, cage_filter: bytes) -> None:
    read = {"x86_64": 0, "aarch64": 63}[machine]
    assert verdict(cage_filter, ARCHITECTURES[machine], read) == ALLOW
    assert verdict(cage_filter, ARCHITECTURES[machine], read | 0x40000000) == REFUSE  # x32
    assert verdict(cage_filter, 0x40000003, read) == REFUSE  # 32-bit programs


def test_several_values_and_either_sense(machine: str) -> None:
    allowed = filter_program(machine, (), [Only("socket", 0, (1, 16))], ())
    socket = number("socket", machine)
    assert socket is not None
    answers = [verdict(allowed, ARCHITECTURES[machine], socket, family) for family in (1, 2, 10, 16)]
    assert answers == [ALLOW, REFUSE, REFUSE, ALLOW]
    refused = filter_program(machine, (), [Only("socket", 0, (1, 16), refuse=True)], ())
    answers = [verdict(refused, ARCHITECTURES[machine], socket, family) for family in (1, 2, 10, 16)]
    assert answers == [REFUSE, ALLOW, ALLOW, REFUSE]


@pytest.mark.parametrize(
    ("at", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
    ids=MACHINES,
)
def test_the_numbers_are_the_kernels(at: int, header: str) -> None:
    if not Path(header).is_file():
        pytest.skip("the kernel's headers are not installed: apt-get install linux-libc-dev")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", Path(header).read_text(encoding="utf-8"))
    kernels = {name: int(value) for name, value in found}
    for name, numbers in NUMBERS.items():
        if name in kernels:
            assert numbers[at] == kernels[name], name
        else:  # older headers lack the newest ones, and Arm never had the oldest
            assert numbers[at] is None or numbers[at] > 450, name  # type: ignore[operator]


def test_no_secret_gets_into_the_cage(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "VISAVIS_WHIP_TOKEN", "VISAVIS_TURN_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "SSH_AUTH_SOCK",
        "GITHUB_TOKEN", "OPENAI_API_KEY", "PYTHON_KEYRING_PASSWORD",
    )  # fmt: skip
    for name in (*secrets, "DISPLAY", "ANYTHING"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    caged, windows = cage_environment(), without_secrets()
    assert not {*secrets, "DISPLAY", "ANYTHING"} & caged.keys()
    assert caged["LC_ALL"] == "C.UTF-8" and caged["PYTHONPATH"]
    assert not set(secrets) & windows.keys() and {"DISPLAY", "ANYTHING"} <= windows.keys()


def test_another_system_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    walls = confine([])
    assert "only Linux" in str(walls.network) and "only Linux" in str(walls.files)
    assert landlock_version() == 0 and "Landlock is off" in str(why_files_stay_open())


# -- tried -------------------------------------------------------------------------------------------------------------

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the guarantee is Linux's")
landlock_only = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")

# `tried` prints what came of each attempt as JSON.
PROLOGUE = """
    import ctypes, fcntl, json, os, resource, signal, socket, subprocess, sys, threading
    from pathlib import Path

    libc, parent = ctypes.CDLL(None, use_errno=True), os.getppid()

    def call(number, *arguments):
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    def tried(**attempts):
        came_of = {}
        for name, attempt in attempts.items():
            try:
                attempt()
                came_of[name] = "done"
            except OSError as error:
                came_of[name] = type(error).__name__
        print(json.dumps(came_of))

    def wall_in():
        from avatar.tracking.child.walls import wall_in
        from avatar.sandbox import landlock
        if "LANDLOCK" in os.environ:
            landlock.landlock_version = lambda: int(os.environ["LANDLOCK"])
        walls = wall_in()
        assert (walls.network, walls.files) == (None, None), walls
"""


def came_of(
    code: str,
    *,
    walls: bool = True,
    modules: str = "",
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Of attempts in a process that was started as the tracker's is."""
    program = PROLOGUE + textwrap.indent(textwrap.dedent(code), "    ")
    program = textwrap.dedent(program) if walls else textwrap.dedent(program).replace("\nwall_in()", "\n")
    environment = cage_environment() | dict(variables or {})
    if modules:
        environment["PYTHONPATH"] = modules + os.pathsep + environment["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, env=environment, timeout=60, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


FILES = """
    home, code = Path(os.environ["VISAVIS_HOME"]), Path(os.environ["CODE"])
    avatar, library, beside = home / "avatars" / "anna.avatar", code / "package" / "__init__.py", home.parent / "evil"
    wall_in()
    tried(
        read_an_avatar=avatar.read_bytes,
        read_it_another_way=lambda: open(f"/usr/lib/../..{avatar}").close(),
        read_it_by_proc=lambda: open(f"/proc/self/root{avatar}").close(),
        read_it_by_its_folder=lambda: os.open("anna.avatar", os.O_RDONLY, dir_fd=os.open(avatar.parent, os.O_PATH)),
        open_it_again=lambda: open(f"/proc/self/fd/{os.open(avatar, os.O_PATH)}").close(),
        list_avatars=lambda: os.listdir(avatar.parent),
        list_home=lambda: os.listdir(Path.home()),
        list_temporary_files=lambda: os.listdir("/tmp"),
        make_a_file_at_home=lambda: (Path.home() / "evil").touch(),
        make_a_file=beside.touch,
        make_a_nameless_file=lambda: os.open(beside.parent, os.O_TMPFILE | os.O_RDWR),
        make_a_library=lambda: (code / "evil.py").touch(),
        change_a_library=lambda: open(library, "a").close(),
        empty_a_library=lambda: os.open(library, os.O_RDONLY | os.O_TRUNC),
        shorten_a_library=lambda: os.truncate(library, 0),
        make_it_everybodys=lambda: avatar.chmod(0o777),
        change_its_time=lambda: os.utime(avatar),
        link=lambda: os.link(avatar, beside.with_name("a")),
        symbolic_link=lambda: os.symlink(avatar, beside.with_name("b")),
        rename=lambda: avatar.rename(beside.with_name("c")),
        make_a_folder=lambda: beside.with_name("d").mkdir(),
        remove=lambda: beside.with_name("victim").unlink(),
    )
"""


@pytest.fixture
def home_and_code(tmp_path: Path) -> tuple[Path, Path]:
    """A home with visavis' home below it, and a folder of installed packages. The process' own temporary files too."""
    home, code = tmp_path / "home", tmp_path / "site-packages"
    (home / "visavis" / "avatars").mkdir(parents=True)
    (home / "visavis" / "avatars" / "anna.avatar").write_bytes(b"a face")
    (home / "victim").touch()
    (code / "package").mkdir(parents=True)
    (code / "package" / "__init__.py").write_text("HERE = True")
    (code / "package-1.0.dist-info").mkdir()
    return home, code


@landlock_only
@pytest.mark.parametrize("version", [1, 2, landlock_version()])
def test_files_are_out_of_reach(version: int, home_and_code: tuple[Path, Path]) -> None:
    home, code = home_and_code
    paths = {"HOME": str(home), "VISAVIS_HOME": str(home / "visavis"), "CODE": str(code), "LANDLOCK": str(version)}
    before = sorted(path.name for path in home.parent.rglob("*"))
    refused = came_of(FILES, modules=str(code), variables=paths)
    assert set(refused.values()) == {"PermissionError"}, refused
    assert sorted(path.name for path in home.parent.rglob("*")) == before
    assert (code / "package" / "__init__.py").read_text() == "HERE = True"
    done = came_of(FILES, walls=False, modules=str(code), variables=paths)  # else the test could not fail
    assert set(done.values()) - {"done"} <= {"FileNotFoundError"}, done  # after it was renamed


@landlock_only
def test_avatars_among_code_stay_out_of_reach(home_and_code: tuple[Path, Path]) -> None:
    home, code = home_and_code
    inside = code / "package" / "faces"
    shutil.copytree(home / "visavis", inside)
    came = came_of(
        """
        wall_in()
        tried(
            read_an_avatar=lambda: open(os.environ["VISAVIS_HOME"] + "/avatars/anna.avatar").close(),
            list_avatars=lambda: os.listdir(os.environ["VISAVIS_HOME"]),
            read_code=lambda: open(os.environ["CODE"] + "/package/__init__.py").close(),
        )
        """,
        modules=str(code),
        variables={"HOME": str(home), "VISAVIS_HOME": str(inside), "CODE": str(code)},
    )
    assert came == {"read_an_avatar": "PermissionError", "list_avatars": "PermissionError", "read_code": "done"}


@landlock_only
def test_the_folder_that_one_is_in_is_not_code(home_and_code: tuple[Path, Path]) -> None:
    home, _ = home_and_code
    (home / "stray-1.0.dist-info").mkdir()
    code = """
        wall_in()
        tried(list_here=lambda: os.listdir("."), read_here=lambda: open("victim").close())
    """
    came = came_of(code, modules=str(home), cwd=home, variables={"HOME": str(home), "LD_LIBRARY_PATH": str(home)})
    assert set(came.values()) == {"PermissionError"}


PROCESSES = """
    one, other = socket.socketpair()
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    wall_in()
    tried(
        internet=lambda: socket.socket(socket.AF_INET),
        internet_6=lambda: socket.socket(socket.AF_INET6),
        local_socket=lambda: socket.socket(socket.AF_UNIX),
        interfaces=lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        connect=lambda: client.connect(server.getsockname()),
        send=lambda: one.send(b"b"),
        program=lambda: subprocess.run(["/bin/true"]),
        program_in_its_place=lambda: os.execv("/bin/true", ["true"]),
        fork=lambda: os.fork() or os._exit(0),
        spawn=lambda: os.posix_spawn("/bin/true", ["true"], {{}}),
        kill_its_parent=lambda: os.kill(parent, 0),
        a_handle_of_its_parent=lambda: os.pidfd_open(parent),
        limits_of_its_parent=lambda: resource.prlimit(parent, resource.RLIMIT_CORE),
        slow_its_parent=lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)),
        bind_its_parent=lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        signal_its_parent=lambda: fcntl.fcntl(1, fcntl.F_SETOWN, parent),
        type_into_a_terminal=lambda: fcntl.ioctl(1, 0x5412, b"a"),
        shared_memory=lambda: call({shmget}, 0, 4096, 0o1600),
        keys=lambda: call({keyctl}, 0, -3, 0),
        outlive_its_parent=lambda: call({prctl}, 1, 0, 0, 0, 0),
        be_looked_into=lambda: call({prctl}, 4, 1, 0, 0, 0),
    )
"""


@linux_only
def test_sockets_programs_and_other_processes_are_out_of_reach() -> None:
    numbers = {name: number(name, os.uname().machine) for name in ("shmget", "keyctl", "prctl")}
    came = came_of(PROCESSES.format(**numbers))
    assert set(came.values()) == {"PermissionError"}, came


@landlock_only
def test_its_parent_is_out_of_reach_in_proc() -> None:
    names = ("mem", "environ", "maps", "cmdline", "fd/1", "root/etc/passwd")
    attempts = ", ".join(f'a{at}=lambda: open(f"/proc/{{parent}}/{name}").close()' for at, name in enumerate(names))
    came = came_of(f"wall_in()\ntried({attempts}, own=lambda: open('/proc/self/environ').close())")
    assert set(came.values()) == {"PermissionError"}, came


@linux_only
def test_threads_its_own_signals_and_its_limits_stay() -> None:
    came = came_of(
        """
        def thread():
            ran = threading.Thread(target=lambda: None)
            ran.start()
            ran.join()

        def much():
            os.write(os.open("/dev/null", os.O_WRONLY), bytes(3_000_000))
            os.ftruncate(os.memfd_create("much"), 3_000_000)

        wall_in()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        tried(thread=thread, itself=lambda: os.kill(os.getpid(), 0), much=much)
        """
    )
    assert came == {"thread": "done", "itself": "done", "much": "OSError"}


def test_nothing_that_could_start_a_thread_is_loaded_before_the_walls() -> None:
    code = "import sys, avatar.tracking.child.__main__; print({'numpy', 'cv2', 'mediapipe'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-P", "-c", code], env=cage_environment(), capture_output=True, text=True)
    assert said.stdout == "set()\n", said.stderr


@linux_only
def test_without_landlock_nothing_can_be_changed_all_the_same(home_and_code: tuple[Path, Path]) -> None:
    home, _ = home_and_code
    code = """
        from avatar.sandbox import confinement
        confinement.why_files_stay_open = lambda: "as on an older kernel"
        confinement.confine([])
        confinement.open_for_reading_only()
        tried(
            append=lambda: os.open("victim", os.O_WRONLY | os.O_APPEND),
            change=lambda: os.open("victim", os.O_RDWR),
            empty=lambda: os.open("victim", os.O_RDONLY | os.O_TRUNC),
            make=lambda: os.open("new", os.O_CREAT),
            remove=lambda: os.unlink("victim"),
            rename=lambda: os.rename("victim", "other"),
            read=lambda: os.open("victim", os.O_RDONLY),
        )
    """
    came = came_of(code, cwd=home)
    assert came.pop("read") == "done" and set(came.values()) == {"PermissionError"}, came


@linux_only
def test_a_crash_still_ends_it() -> None:
    code = "from avatar.tracking.child.walls import wall_in; import os; wall_in(); os.abort()"
    done = subprocess.run([sys.executable, "-P", "-c", code], env=cage_environment(), capture_output=True, timeout=60)
    assert done.returncode == -6


@linux_only
@pytest.mark.parametrize("mode", ["image", "video"])
def test_two_faces_are_tracked_behind_the_walls_as_before_them(mode: str, tmp_path: Path) -> None:
    pair = np.ascontiguousarray(np.hstack([head(), head()[:, ::-1]]))
    picture, model = tmp_path / "pair.npy", tracker_model()
    np.save(picture, pair)
    code = f"""
        import hashlib
        import numpy as np
        from avatar.tracking.child.face_landmarker import FaceTracker
        pair = np.load({str(picture)!r})
        from avatar.tracking.child.walls import wall_in
        from pathlib import Path
        {{walls}}
        with FaceTracker(Path({str(model)!r}), {mode!r}) as tracker:
            for at in range(3):
                seen = tracker.track(pair, at * 40_000_000)
        numbers = b"".join(a.tobytes() for a in (seen.landmarks, seen.blendshapes, seen.pose))
        print(seen.faces, hashlib.sha256(numbers).hexdigest())
    """
    said = []
    for walls in (f"assert wall_in(Path({str(model)!r})).network is None", ""):
        program = textwrap.dedent(code.replace("{walls}", walls))
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], env=cage_environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1] and said[0].startswith("2 ")

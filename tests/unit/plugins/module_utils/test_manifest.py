# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest on files of a small machine: each thing that is declared is changed by itself and must be found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.action import manifest_info as action
from ansible_collections.greenlab.cluster.plugins.module_utils import _manifest
from ansible_collections.greenlab.cluster.plugins.module_utils._manifest import Manifest, ManifestError, Reader
from ansible_collections.greenlab.cluster.plugins.modules import manifest, manifest_info

# What systemctl show prints, on Debian 12.
SHOWN = """\
LoadState=loaded
ActiveState=active
UnitFileState=enabled

LoadState=masked
ActiveState=inactive
UnitFileState=masked

LoadState=not-found
ActiveState=inactive
UnitFileState=
"""
MANAGED = {
    "paths": ["/etc/file", "/etc/link", "/opt/tool", "/etc/nothing"],
    "folders": ["/etc/sudoers.d", "/etc/none.d"],
    "names": ["/opt/tool/venv/bin"],
    "checkouts": ["/opt/tool"],
    "units": ["docker.service gc", "apt.timer gc", "gone.service gc"],
    "packages": ["docker.io", "libc6", "bluez"],
    "accounts": ["gc"],
    "values": ["/proc/sys/kernel/watchdog"],
}
FILES = {
    "etc/file": "content",
    "etc/sudoers.d/ours": "gc ALL=(root) NOPASSWD: /usr/bin/true",
    "etc/passwd": "root:x:0:0::/root:/bin/bash\ngc:x:1001:1001::/home/gc:/bin/bash\n",
    "etc/group": "docker:x:99:gc\nsudo:x:27:\ngc:x:1001:\n",
    "etc/shadow": "root:*:1::::::\ngc:$6$salt$hash:1::::::\n",
    "var/lib/dpkg/info/docker.io.md5sums": "",
    "var/lib/dpkg/info/libc6:amd64.md5sums": "",
    "var/lib/dpkg/info/bluez.list": "",  # what stays of a package that was removed and not purged
    "proc/sys/kernel/watchdog": "0\n",
    "opt/tool/venv/bin/python3": "",
    "opt/tool/lib/a.py": "a = 1\n",
    "opt/tool/lib/__pycache__/a.pyc": "",
    "opt/tool/.git/HEAD": "ref: refs/heads/main\n",
    "opt/tool/.git/packed-refs": "# pack-refs with: peeled\n0123456789abcdef0123456789abcdef01234567 refs/heads/main\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of the small machine."""
    for name, content in FILES.items():
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "root/etc/link").symlink_to("/dev/null")
    return tmp_path / "root"


class Systemctl:
    """Answers as systemctl does, and notes what it was asked."""

    def __init__(self) -> None:
        self.text = SHOWN
        self.asked: list[Any] = []

    def __call__(self, argv: Any, account: Any) -> str:
        self.asked.append((list(argv), account))
        return self.text


def compare(
    root: Path, before: dict[str, Any], systemctl: Systemctl | None = None, known: Any = ()
) -> list[tuple[str, str]]:
    reader = Reader(str(root), systemctl or Systemctl())
    reader.known = dict(known)
    after = reader.read(MANAGED)
    return [(one["kind"], one["name"]) for one in _manifest.differences(before, json.loads(json.dumps(after)))]


def taken(root: Path) -> dict[str, Any]:
    """Return what was written down, as it comes back from a file."""
    return json.loads(json.dumps(Reader(str(root), Systemctl()).read(MANAGED)))


def write(name: str, content: str) -> Callable[[Path], None]:
    def drift(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)

    return drift


def forge(root: Path) -> None:
    """Change a file of the checkout, and give it its old size and time."""
    file = root / "opt/tool/lib/a.py"
    state = file.stat()
    file.write_text("a = 2\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


DRIFTS: list[tuple[Callable[[Path], Any], list[tuple[str, str]]]] = [
    (write("etc/file", "another"), [("paths", "/etc/file")]),
    (lambda r: (r / "etc/file").chmod(0o666), [("paths", "/etc/file")]),
    (lambda r: (r / "etc/file").unlink(), [("paths", "/etc/file")]),
    (write("etc/nothing", ""), [("paths", "/etc/nothing")]),
    (lambda r: ((r / "etc/link").unlink(), (r / "etc/link").symlink_to("/etc/file")), [("paths", "/etc/link")]),
    (lambda r: (r / "opt/tool").chmod(0o777), [("paths", "/opt/tool")]),
    (write("etc/sudoers.d/theirs", "gc ALL=(ALL) ALL"), [("folders", "/etc/sudoers.d")]),
    (write("etc/sudoers.d/ours", "gc ALL=(ALL) ALL"), [("folders", "/etc/sudoers.d")]),
    (write("etc/none.d/new", ""), [("folders", "/etc/none.d")]),
    (write("opt/tool/venv/bin/pytest", ""), [("names", "/opt/tool/venv/bin")]),
    (write("opt/tool/lib/a.py", "a = 12\n"), [("checkouts", "/opt/tool")]),
    (forge, [("checkouts", "/opt/tool")]),
    (write("opt/tool/lib/stray", ""), [("checkouts", "/opt/tool")]),
    (lambda r: (r / "opt/tool/lib/a.py").unlink(), [("checkouts", "/opt/tool")]),
    (lambda r: (r / "opt/tool/lib/a.py").chmod(0o777), [("checkouts", "/opt/tool")]),
    (write("opt/tool/.git/HEAD", "f" * 40 + "\n"), [("checkouts", "/opt/tool")]),
    (write("opt/tool/.git/refs/heads/main", "f" * 40 + "\n"), [("checkouts", "/opt/tool")]),
    (lambda r: (r / "var/lib/dpkg/info/docker.io.md5sums").unlink(), [("packages", "docker.io")]),
    (write("var/lib/dpkg/info/bluez.md5sums", ""), [("packages", "bluez")]),
    (write("etc/group", "docker:x:99:\nsudo:x:27:gc\n"), [("accounts", "gc")]),
    (write("etc/shadow", "gc:$6$salt$other:1::::::\n"), [("accounts", "gc")]),
    (write("etc/passwd", "gc:x:0:0::/root:/bin/bash\n"), [("accounts", "gc")]),
    (write("proc/sys/kernel/watchdog", "1\n"), [("values", "/proc/sys/kernel/watchdog")]),
]


@pytest.mark.parametrize(("drift", "expected"), DRIFTS)
def test_each_drift_is_found_and_nothing_else(root: Path, drift: Any, expected: list[tuple[str, str]]):
    reader = Reader(str(root), Systemctl())
    before = json.loads(json.dumps(reader.read(MANAGED)))
    assert compare(root, before, known=reader.seen) == []
    drift(root)
    assert compare(root, before, known=reader.seen) == expected


def test_a_file_of_a_checkout_that_was_written_again_the_same_is_no_drift(root: Path):
    reader, again = Reader(str(root)), Reader(str(root))
    before = reader.read({"checkouts": ["/opt/tool"]})
    (root / "opt/tool/lib/a.py").write_text(FILES["opt/tool/lib/a.py"])
    again.known = reader.seen
    assert _manifest.differences(before, again.read({"checkouts": ["/opt/tool"]})) == []
    assert again.seen != reader.seen


def test_files_of_a_checkout_are_read_where_times_differ_alone(root: Path):
    (root / "opt/tool/docs").mkdir()
    (root / "opt/tool/docs/index").write_text("")
    reader = Reader(str(root))
    reader.read({"checkouts": ["/opt/tool"]})
    reader.known = {folder: [times, "believed"] for folder, (times, _contents) in reader.seen.items()}
    (root / "opt/tool/docs/index").write_text("1")
    facts = reader.read({"checkouts": ["/opt/tool"]})["checkouts"]["/opt/tool"]
    assert [folder for folder, contents in facts.items() if contents != "believed"] == ["commit", "/docs/"]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("ActiveState=active", "ActiveState=failed", "apt.timer gc"),  # the first of the names, as they are sorted
        ("UnitFileState=masked", "UnitFileState=enabled", "docker.service gc"),
        ("LoadState=not-found", "LoadState=loaded", "gone.service gc"),
    ],
)
def test_a_unit_of_another_state_is_found(root: Path, old: str, new: str, name: str):
    before, systemctl = taken(root), Systemctl()
    systemctl.text = SHOWN.replace(old, new)
    assert compare(root, before, systemctl) == [("units", name)]


def test_all_units_of_a_manager_are_one_question_as_their_account(root: Path):
    systemctl = Systemctl()
    Reader(str(root), systemctl).read({"units": ["a.service", "b.service", "c.service gc"], "unit_files": ["d.timer"]})
    assert [(argv[1], argv[argv.index("--") + 1 :], account and account.uid) for argv, account in systemctl.asked] == [
        ("--system", ["a.service", "b.service"], None),
        ("--user", ["c.service"], 1001),
        ("--system", ["d.timer"], None),
    ]


def test_a_certificate_counts_by_how_long_it_is_valid(tmp_path: Path):
    for days, valid in (("40", True), ("20", False)):
        made = ["openssl", "req", "-x509", "-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"), "-subj", "/CN=x", "-days", days]
        subprocess.run([*made, *files], check=True, capture_output=True)
        assert Reader(str(tmp_path)).read({"certificates": ["/cert"]}) == {"certificates": {"/cert": {"valid": valid}}}


def test_a_query_counts_by_its_answer_and_is_asked_as_the_account(root: Path):
    query = "gc 5432 green-coding SELECT a, 'b c'"
    answers = []
    for text in ("one", "one", "two"):
        systemctl = Systemctl()
        systemctl.text = text
        answers.append(Reader(str(root), systemctl).read({"queries": [query]})["queries"][query]["content"])
        argv, account = systemctl.asked[0]
        assert (argv[-1], account.uid) == ("--command=SELECT a, 'b c'", 1001)
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_a_command_runs_as_the_account_and_with_nothing_of_ours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "of ours")
    nobody = _manifest.Account("nobody", 65534, 65534, "")
    assert _manifest.run_command(["id", "--user"], nobody).strip() == "65534"
    assert "SECRET" not in _manifest.run_command(["env"], nobody)
    assert "XDG_RUNTIME_DIR=/run/user/65534" in _manifest.run_command(["env"], nobody)


def test_only_whether_a_unit_is_enabled_counts_for_a_unit_file(root: Path):
    def read(text: str) -> Any:
        systemctl = Systemctl()
        systemctl.text = text
        return Reader(str(root), systemctl).read({"unit_files": ["docker.service gc"]})

    assert read(SHOWN) == read(SHOWN.replace("ActiveState=active", "ActiveState=failed"))
    assert read(SHOWN) != read(SHOWN.replace("UnitFileState=enabled", "UnitFileState=disabled"))


def test_bytecode_and_what_git_notes_do_not_count(root: Path):
    before = taken(root)
    write("opt/tool/lib/__pycache__/b.pyc", "")(root)
    write("opt/tool/.git/index", "")(root)
    assert compare(root, before) == []


def test_neither_a_content_nor_a_password_is_shown(root: Path):
    before = taken(root)
    for drift in (write("etc/file", "another"), write("etc/shadow", "gc:$6$x$y:1::::::\n"), DRIFTS[6][0]):
        drift(root)
    found = _manifest.differences(before, Reader(str(root), Systemctl()).read(MANAGED))
    kept = before["paths"]["/etc/file"]["content"], before["accounts"]["gc"]["password"]
    assert len(found) == 3
    assert not any(secret in json.dumps(found) for secret in kept)
    assert _manifest.sentence(next(one for one in found if one["kind"] == "paths")) == "/etc/file: content changed"


def test_a_kind_that_nobody_knows(root: Path):
    with pytest.raises(ManifestError, match="Nothing is known of socks. There are paths"):
        Reader(str(root)).read({"socks": []})


def test_what_two_roles_declare_is_one():
    parts = [{"accounts": ["gc"], "paths": ["/a"]}, {"accounts": ["gc"], "paths": ["/b"]}]
    assert _manifest.merged(parts) == {"accounts": ["gc"], "paths": ["/a", "/b"]}


@pytest.fixture
def written(root: Path, tmp_path: Path) -> Path:
    """Return a manifest of the small machine."""
    path = tmp_path / "state/manifest.json"
    result = manifest.run(options(path), False, Reader(str(root), Systemctl()))
    assert result == {"changed": True, "number": sum(map(len, MANAGED.values()))}
    return path


def options(path: Path, **values: Any) -> dict[str, Any]:
    return {"path": str(path), "state": "present", "fingerprint": "one", "managed": [MANAGED], **values}


def test_equal_is_converged_and_another_fingerprint_is_not(root: Path, written: Path):
    reader = Reader(str(root), Systemctl())
    assert _manifest.compared(Manifest(str(written)).load(), "one", reader)["converged"]
    other = _manifest.compared(Manifest(str(written)).load(), "two", reader)
    assert not other["converged"]
    assert "another build" in other["why"]


def test_a_second_time_nothing_is_written(root: Path, written: Path):
    before = written.stat()
    assert not manifest.run(options(written), False, Reader(str(root), Systemctl()))["changed"]
    assert written.stat().st_ino == before.st_ino


def test_in_check_mode_nothing_is_written(root: Path, tmp_path: Path):
    path = tmp_path / "state/manifest.json"
    assert manifest.run(options(path), True, Reader(str(root), Systemctl()))["changed"]
    assert not path.exists()


def test_only_root_can_read_it(written: Path):
    assert written.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: file.chmod(0o644),
        lambda file: file.write_text(file.read_text()[:-10]),  # cut off
        lambda file: file.write_text("[]"),
        lambda file: file.write_text(file.read_text().replace('"version": 1', '"version": 0')),
        lambda file: (file.rename(file.with_name("else")), file.symlink_to(file.with_name("else"))),
    ],
)
def test_a_manifest_that_cannot_be_believed(root: Path, written: Path, spoil: Any):
    spoil(written)
    result = _manifest.compared(Manifest(str(written)).load(), "one", Reader(str(root), Systemctl()))
    assert not result["converged"]
    assert "no manifest that can be believed" in result["why"]


def test_work_that_is_cut_off_leaves_no_manifest(root: Path, written: Path):
    gone = options(written, state="absent", managed=None, fingerprint=None)
    assert manifest.run(gone, True, Reader(str(root)))["changed"]
    assert written.exists()
    assert manifest.run(gone, False, Reader(str(root)))["changed"]
    assert not written.exists()
    assert not manifest.run(gone, False, Reader(str(root)))["changed"]


def test_the_commit_is_the_one_that_git_names(tmp_path: Path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message=x"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    for arguments in ([], ["pack-refs", "--all"], ["checkout", "--quiet", "--detach"]):
        if arguments:
            subprocess.run([*git, *arguments], check=True)
        assert Reader(str(tmp_path.parent)).checkouts(f"/{tmp_path.name}")["commit"] == commit


@pytest.mark.parametrize(
    ("documentation", "spec"),
    [(manifest.DOCUMENTATION, manifest.ARGUMENT_SPEC), (manifest_info.DOCUMENTATION, action.ARGUMENT_SPEC)],
)
def test_documentation_agrees_with_the_options(documentation: str, spec: dict[str, Any]) -> None:
    documented = yaml.safe_load(documentation)["options"]
    assert set(documented) == set(spec)
    for name, option in spec.items():
        assert {key: value for key, value in documented[name].items() if key != "description"} == option


def playbook(folder: Path, tasks: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Run tasks on this computer."""
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(folder / "play.yml")]
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_one_writes_and_the_other_finds_what_changed(tmp_path: Path):
    file, path = tmp_path / "file", tmp_path / "manifest.json"
    file.write_text("one")
    look = {"greenlab.cluster.manifest_info": {"path": str(path), "fingerprint": "it's"}, "register": "seen"}
    show = {"ansible.builtin.debug": {"msg": "{{ seen.converged }} {{ seen.why | replace(file, 'file') }}"}}
    managed = [{"paths": [str(file)]}]
    write = {"greenlab.cluster.manifest": {"path": str(path), "fingerprint": "it's", "managed": managed}}
    change = {"ansible.builtin.copy": {"content": "two", "dest": str(file), "mode": "0640"}}
    name = {"ansible.builtin.set_fact": {"file": str(file)}}
    done = playbook(tmp_path, [name, write, look, show, change, look, show])
    assert done.returncode == 0, done.stdout
    assert '"msg": "True "' in done.stdout
    assert '"msg": "False file: content changed, mode 0644 -> 0640"' in done.stdout


def test_a_host_whose_python_does_not_run_is_an_error(tmp_path: Path):
    task = {"greenlab.cluster.manifest_info": {"fingerprint": "one"}}
    done = playbook(tmp_path, [{**task, "vars": {"ansible_python_interpreter": "/nowhere/python"}}])
    assert done.returncode != 0
    assert "/nowhere/python could not compare the host with its manifest" in done.stdout

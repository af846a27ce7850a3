# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sudo rules are GMT's, and what becomes of their files. That sudo agrees is shown on nodes (molecule)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import gmt_sudo_rules
from ansible_collections.greenlab.cluster.plugins.modules.gmt_sudo_rules import (
    CERTAIN,
    LIKELY,
    is_read_by_sudo,
    others_in,
    rules_in,
    verdict,
)
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

CLEANUP = "/home/gc/green-metrics-tool/tools/cluster/cleanup.sh"
SUSPEND = "/usr/bin/systemctl suspend"


def document(*commands: str, **more: Any) -> dict[str, Any]:
    """Return what cvtsudoers makes of a file with these commands."""
    specs = [
        {"command": command.lstrip("!"), **({"negated": True} if command[0] == "!" else {})} for command in commands
    ]
    return {"User_Specs": [{"User_List": [{"username": "ALL"}], "Cmnd_Specs": [{"Commands": specs}]}], **more}


@pytest.mark.parametrize("since", [since for since, _changes in _releases.RELEASES])
def test_every_command_of_the_release_table_is_known_as_gmts(since):
    places = {"{dir}": "/home/gc/gmt", "{helpers}": _releases.HELPERS_DIR, "{python}": "/usr/bin/python3.12"}
    for purpose, rules in _releases.merged(since)["sudo"].items():
        for rule in rules:
            command = " ".join(rule["argv"])
            for name, value in places.items():
                command = command.replace(name, value)
            certain = purpose in ("maintenance", "hardware_info", "system_checks")
            assert (CERTAIN if certain else LIKELY).fullmatch(command), command


@pytest.mark.parametrize(
    "command",
    [
        CLEANUP,
        f'{CLEANUP} ""',
        f"{CLEANUP} *",
        f"/usr/bin/bash {CLEANUP}",
        f"/bin/sh {CLEANUP}",
        "/home/gc/gmt/cron/../tools/cluster/cleanup.py",
        "/usr/bin/python3 -m lib.hardware_info_root",
        "/home/gc/gmt/venv/bin/python3.10 -m lib.hardware_info_root --read-rapl-energy-filtering",
        "/usr/bin/python3 /home/ALL/lib/hardware_info_root.py",
        "/usr/bin/python3.12 -I -B -S /usr/local/bin/green-metrics-tool/maintenance.py --update-os-packages",
    ],
)
def test_gmts_commands(command):
    assert verdict("anything", document(command)) == "remove"


@pytest.mark.parametrize(
    "command",
    [
        "ALL",
        "/usr/bin/id",
        f"/usr/bin/vim {CLEANUP}",
        f"{CLEANUP} && id",
        f"/bin/sh -c {CLEANUP}",
        f"/bin/sh {CLEANUP} /bin/x",
        "/usr/bin/python3 -m http.server",
        "/usr/bin/python3",
        "/usr/bin/python3 -m lib.hardware_info_root_other",
        "/usr/local/bin/green-metrics-tool/",
        "/home/gc/green-metrics-tool/x.sh",
        "/usr/sbin/sysctl -w vm.drop_caches=3 kernel.hostname=x",
        SUSPEND,
        "/usr/sbin/shutdown",
    ],
)
def test_what_is_not_certainly_gmts_stays(command):
    assert verdict("lab", document(command)) == "keep"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # By their exact names, whatever they say.
        *[(name, None, "remove") for name in sorted(gmt_sudo_rules.INSTALLED)],
        ("green-coding-hardware-info", document("ALL"), "remove"),
        # Named like GMT's: when all of it may be GMT's.
        ("green-coding-shutdown", document(SUSPEND, "/usr/bin/systemctl poweroff"), "remove"),
        ("green_coding_cleanup", document(CLEANUP), "remove"),
        ("green-coding-admins", document("ALL"), "keep"),
        ("green-coding-admins", document(SUSPEND, "/usr/bin/id"), "keep"),
        ("green-coding-x", document(CLEANUP, "ALL"), "mixed"),
        ("green-coding-x", document(), "keep"),
        ("green-coding-x", None, "keep"),
        ("green-coding", document(SUSPEND), "keep"),
        # Any name: when there is a rule without doubt, and no other.
        ("lab", document(CLEANUP, SUSPEND), "remove"),
        ("lab", document(CLEANUP, "/usr/bin/id"), "mixed"),
        ("lab", document(CLEANUP, f"!{SUSPEND}"), "mixed"),
        ("lab", document(CLEANUP, Defaults=[{"Options": [{"requiretty": False}]}]), "mixed"),
        ("lab", document(f"!{CLEANUP}"), "keep"),
        ("lab", {}, "keep"),
        ("lab", None, "keep"),
    ],
)
def test_verdict(name, content, expected):
    assert verdict(name, content) == expected


@pytest.mark.parametrize(
    ("name", "is_read"), [("x", True), ("x.bak", False), (".x", False), ("x~", False), ("x y", True)]
)
def test_files_that_sudo_reads(name, is_read):
    assert is_read_by_sudo(name) == is_read


def test_rules_are_lines_that_say_something():
    assert rules_in("# words\n\n  gc ALL = \\\n /bin/x\n#1000 ALL=ALL\n@include y\n") == [
        "gc ALL =   /bin/x",
        "#1000 ALL=ALL",
        "@include y",
    ]


def test_what_the_account_may_do_beside_what_is_wanted():
    listing = (
        "Matching Defaults entries for gc on m:\n    env_reset, secure_path=/bin\\:/sbin\n\n"
        "User gc may run the following commands on m:\n"
        "    (root) NOPASSWD: /usr/sbin/sysctl -w vm.drop_caches\\=3\n"
        "    (root) CWD=/opt/gmt NOPASSWD: /usr/bin/python3 -m lib.hardware_info_root\n"
        "    (ALL : ALL) ALL\n"
    )
    wanted = [
        "gc ALL=(root) NOPASSWD: /usr/sbin/sysctl -w vm.drop_caches=3",
        "gc ALL=(root) CWD=/opt/gmt NOPASSWD: /usr/bin/python3 -m lib.hardware_info_root",
    ]
    assert others_in(listing, wanted) == ["(ALL : ALL) ALL"]


@pytest.fixture
def node(tmp_path, monkeypatch, capsys):
    """A machine whose cvtsudoers reads JSON, and whose sudo lists one right too many."""
    monkeypatch.setattr(gmt_sudo_rules, "FOLDER", tmp_path)
    programs = {"cvtsudoers", "sudo"}
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warnings.append(text.removeprefix("machine9: ")))
    monkeypatch.setattr("platform.node", lambda: "machine9")
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda _self, name: name if name in programs else None)

    def run_command(_self, argv):
        if argv[0] == "sudo":
            return 0, "User gc may run the following commands:\n    (root) /bin/y\n", ""
        text = Path(argv[-1]).read_text(encoding="utf8")
        if text.startswith("#"):
            return 0, "", ""
        return (0, text, "") if text.startswith("{") else (1, "", "syntax error")

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)

    def call(**options):
        warnings.clear()
        options = {"user": "gc", "keep": str(tmp_path / "green-metrics-tool"), **options}
        with patch_module_args(options), pytest.raises(SystemExit):
            gmt_sudo_rules.main()
        return json.loads(capsys.readouterr().out), list(warnings)

    call.folder, call.programs = tmp_path, programs
    return call


def test_run(node):
    texts = {
        "green-metrics-tool": json.dumps(document(CLEANUP)),
        "green_coding_hardware_info": "this is no rule\n",
        "old": json.dumps(document(CLEANUP)),
        "old.bak": json.dumps(document(CLEANUP)),
        "mixed": json.dumps(document(CLEANUP, "ALL")),
        "broken": f"ALL ALL {CLEANUP}",
        "README": f"# {CLEANUP}",
    }
    for name, text in texts.items():
        (node.folder / name).write_text(text, encoding="utf8")
    foretold, warnings = node(_ansible_check_mode=True, _ansible_diff=True)
    assert warnings[0].startswith("Would remove")
    assert {path.name for path in node.folder.iterdir()} == set(texts)
    result, warnings = node()
    assert foretold == {
        **result,
        "diff": {"before": result["removed"], "after": {}},
        "invocation": foretold["invocation"],
    }
    assert result["changed"]
    assert result["removed"] == {
        str(node.folder / name): [texts[name].strip()] for name in ("green_coding_hardware_info", "old")
    }
    assert result["mixed"] == [str(node.folder / "mixed")]
    assert result["others"] == ["(root) /bin/y"]
    assert [text.split()[0] for text in warnings] == ["Removed", "Removed", str(node.folder / "mixed"), "User"]
    assert "Removed sudo rules that another installation of GMT left" in warnings[0]
    assert {path.name for path in node.folder.iterdir()} == {
        "green-metrics-tool",
        "old.bak",
        "mixed",
        "broken",
        "README",
    }
    again, _warnings = node()
    assert not again["changed"]


def test_without_cvtsudoers_names_decide(node):
    node.programs.remove("cvtsudoers")
    (node.folder / "green-coding-drop-caches").write_text("x", encoding="utf8")
    (node.folder / "lab").write_text(CLEANUP, encoding="utf8")
    result, warnings = node()
    assert list(result["removed"]) == [str(node.folder / "green-coding-drop-caches")]
    assert "There is no cvtsudoers" in warnings[0]


def test_a_machine_without_sudo(node, monkeypatch):
    node.programs.clear()
    monkeypatch.setattr(gmt_sudo_rules, "FOLDER", node.folder / "none")
    result, _warnings = node()
    assert not result["changed"]
    assert result["others"] == []

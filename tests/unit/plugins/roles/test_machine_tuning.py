# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel is given arguments, and when a reboot is needed for them."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def coded(text: str) -> dict[str, str]:
    return {"content": b64encode(text.encode()).decode()}


@pytest.fixture
def role(read_role: Callable[..., Any]) -> Callable[..., Any]:
    def read(arguments: list[str], old: list[str], *loaders: str, running: str = "quiet") -> Any:
        known = ["/usr/sbin/update-grub", "/boot/firmware/cmdline.txt", "/boot/cmdline.txt"]
        there = [{"item": file, "stat": {"exists": file in loaders}} for file in known]
        return read_role(
            "machine_tuning",
            machine_tuning_kernel_arguments=arguments,
            inventory_hostname="machine1",
            __machine_tuning_old=old,
            __machine_tuning_arguments=arguments,
            __machine_tuning_running=coded(f"BOOT_IMAGE=/vmlinuz root=UUID=1 ro {running}\n"),
            __machine_tuning_loaders={"results": there},
        )

    return read


GRUB = "/usr/sbin/update-grub"
PI = "/boot/firmware/cmdline.txt"


@pytest.mark.parametrize(
    ("arguments", "old", "running", "required"),
    [
        (["a=1"], [], "quiet", True),
        (["a=1"], ["a=1"], "quiet a=1", False),
        (["a=2"], ["a=1"], "quiet a=1", True),
        ([], ["a=1"], "quiet a=1", True),
        ([], ["a=1"], "quiet", False),
        ([], [], "quiet", False),
        (["a=1"], ["a=1"], "quiet a=10", True),
    ],
)
def test_a_reboot_is_required_as_long_as_the_kernel_runs_with_other_arguments(
    role: Any, arguments: list[str], old: list[str], running: str, required: bool
) -> None:
    task_name = "Compare it with what is wanted"
    for loader in (GRUB, PI):
        tuning = role(arguments, old, loader, running=running)
        task = tuning.task("reboot.yml", task_name)
        fact = tuning.fill(task["ansible.builtin.set_fact"], **task["vars"])
        assert fact == {"machine_tuning_reboot_required": required}


def test_without_a_boot_loader_no_reboot_would_help(role: Any) -> None:
    tuning = role(["a=1"], [])
    task = tuning.task("reboot.yml", "Compare it with what is wanted")
    assert tuning.fill(task["ansible.builtin.set_fact"], **task["vars"]) == {"machine_tuning_reboot_required": False}
    check = ("validate.yml", "Check that the kernel can be given arguments")
    assert tuning.passes(*check)
    tuning.variables["machine_tuning_missing"] = "fail"
    assert not tuning.passes(*check)


def test_grub_reads_our_arguments_behind_those_of_others(role: Any, tmp_path: Path) -> None:
    tuning = role(["mem_sleep_default=deep", "intel_pstate=passive"], [], GRUB)
    copy = tuning.fill(tuning.task("kernel.yml", "Give the arguments to GRUB")["ansible.builtin.copy"])
    assert copy["dest"].startswith("/etc/default/grub.d/") and copy["dest"].endswith(".cfg")  # what grub-mkconfig reads
    (tmp_path / "grub").write_text('GRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n')
    (tmp_path / "90.cfg").write_text(copy["content"])
    script = f'. {tmp_path}/grub; . {tmp_path}/90.cfg; echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    found = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["console=ttyS0", "mem_sleep_default=deep", "intel_pstate=passive", "quiet", "splash"]


@pytest.mark.parametrize("word", ["$(touch x)", "a b", 'a"b', "a'b", "a;b", "a\nb", "a`b", "a\\b", "", "a$b", "a\n"])
def test_arguments_that_a_shell_would_read_are_refused(role: Any, word: str) -> None:
    check = ("validate.yml", "Check that the kernel's arguments are plain words")
    assert role(["isolcpus=2-3,5", "a.b_c=/d:e+f@g"], [], GRUB).passes(*check)
    assert not role(["quiet", word], [], GRUB).passes(*check)


def test_a_pi_loses_our_old_words_but_not_those_that_got_a_new_value(role: Any) -> None:
    tuning = role(["a=2", "c"], ["a=1", "b=1", "c"], PI)
    task = tuning.task("pi.yml", "Write the kernel's command line for the next boot")
    asked = tuning.fill(task["greenlab.cluster.pi_boot"])
    assert asked["folder"] == "/boot/firmware"
    assert asked["cmdline"] == ["a=2", "c"]
    assert set(asked["cmdline_absent"]) == {"a=1", "b=1"}

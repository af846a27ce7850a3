# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot files keep what others wrote, are right afterwards, and a second run changes nothing. No board was at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.greenlab.cluster.plugins.module_utils import _pi_boot
from ansible_collections.greenlab.cluster.plugins.module_utils._pi_boot import BootFileError
from ansible_collections.greenlab.cluster.plugins.modules import pi_boot

# As Raspberry Pi OS (bookworm) writes them.
CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait quiet\n"
)
CONFIG = """\
# For more options and information see
# http://rptl.io/configtxt

# Uncomment some or all of these to enable the optional hardware interfaces
#dtparam=i2c_arm=on

# Enable audio (loads snd_bcm2835)
dtparam=audio=on
dtoverlay=vc4-kms-v3d
disable_overscan=1

[cm4]
otg_mode=1

[pi4]
# Run as fast as firmware / board allows
arm_boost=1

[all]
enable_uart=0
"""


class Board:
    """A boot partition in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(data)

    def get(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode("utf8", "surrogateescape")

    def run(self, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        checked = ArgumentSpecValidator(pi_boot.ARGUMENT_SPEC).validate({"folder": str(self.folder), **options})
        assert not checked.error_messages, checked.error_messages
        return pi_boot.run(checked.validated_parameters, check_mode)

    def cmdline(self, text: str, **options: Any) -> str:
        """Edit a text, see that a second run leaves it alone, and return it."""
        return self._twice("cmdline.txt", text, options)

    def config(self, text: str, *settings: dict[str, str]) -> str:
        return self._twice("config.txt", text, {"config": list(settings)})

    def _twice(self, name: str, text: str, options: dict[str, Any]) -> str:
        self.set(name, text)
        predicted = self.run(check_mode=True, **options)
        assert self.get(name) == text, "check mode has written"
        done = self.run(**options)
        assert {k: done[k] for k in ("changed", "diff")} == {k: predicted[k] for k in ("changed", "diff")}
        after = self.get(name)
        assert done["changed"] == (after != text)
        assert not self.run(**options)["changed"]
        assert self.get(name) == after
        return after


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    running = tmp_path / "running"
    running.write_text(CMDLINE, encoding="utf8")
    monkeypatch.setattr(pi_boot, "RUNNING", running)
    folder = tmp_path / "boot"
    folder.mkdir()
    made = Board(folder)
    made.set("cmdline.txt", CMDLINE)
    made.set("config.txt", CONFIG)
    return made


class TestCmdline:
    def test_a_new_word_comes_last_and_a_known_one_keeps_its_place(self, board: Board) -> None:
        after = board.cmdline("a=1 fsck.repair=preen rw\n", cmdline=["fsck.repair=yes", "panic=10"])
        assert after == "a=1 fsck.repair=yes rw panic=10\n"

    def test_what_is_there_changes_nothing(self, board: Board) -> None:
        assert board.cmdline(CMDLINE, cmdline=["quiet", "fsck.repair=yes"], cmdline_absent=["splash"]) == CMDLINE

    def test_consoles_stand_beside_each_other(self, board: Board) -> None:
        after = board.cmdline(CMDLINE, cmdline=["console=ttyAMA0"])
        assert [word for word in after.split() if word.startswith("console")] == [
            "console=serial0,115200",
            "console=tty1",
            "console=ttyAMA0",
        ]

    def test_one_console_or_all_can_go(self, board: Board) -> None:
        assert "console=serial0,115200 root=" in board.cmdline(CMDLINE, cmdline_absent=["console=tty1"])
        assert "console" not in board.cmdline(CMDLINE, cmdline_absent=["console"])

    def test_several_words_of_one_name_are_exactly_those(self, board: Board) -> None:
        after = board.cmdline(
            "x usbcore.quirks=a y usbcore.quirks=b\n", cmdline=["usbcore.quirks=b", "usbcore.quirks=c"]
        )
        assert after == "x usbcore.quirks=b usbcore.quirks=c y\n"

    def test_duplicates_of_what_is_set_become_one(self, board: Board) -> None:
        assert board.cmdline("panic=1 x panic=2\n", cmdline=["panic=2"]) == "panic=2 x\n"

    def test_dash_and_underscore_are_the_same_to_the_kernel(self, board: Board) -> None:
        assert board.cmdline("log-buf-len=1M x\n", cmdline=["log_buf_len=2M"]) == "log_buf_len=2M x\n"
        assert board.cmdline("log-buf-len=1M x\n", cmdline_absent=["log_buf_len"]) == "x\n"

    def test_blanks_in_quotes_are_part_of_the_word(self, board: Board) -> None:
        text = 'dyndbg="file drivers/usb/* +p" rw\n'
        assert board.cmdline(text, cmdline=["quiet"]) == text.replace("\n", " quiet\n")
        assert board.cmdline(text, cmdline=['dyndbg="file a +p"']) == 'dyndbg="file a +p" rw\n'

    def test_what_is_inits_stays_behind_the_dashes(self, board: Board) -> None:
        assert (
            board.cmdline("rw -- single console=x\n", cmdline=["quiet", "console=tty1"])
            == "rw quiet console=tty1 -- single console=x\n"
        )

    @pytest.mark.parametrize("text", ["rw", "rw\n", "rw\n\n\n"])
    def test_a_missing_or_further_line_end_alone_is_no_reason_to_write(self, board: Board, text: str) -> None:
        assert board.cmdline(text, cmdline=["rw"]) == text
        assert board.cmdline(text, cmdline=["quiet"]) == "rw quiet\n"

    def test_a_line_end_of_windows_goes_because_the_kernel_would_read_it(self, board: Board) -> None:
        assert board.cmdline("rw quiet\r\n", cmdline=["quiet"]) == "rw quiet\n"

    def test_an_empty_file_gets_the_words(self, board: Board) -> None:
        assert board.cmdline("", cmdline=["quiet"]) == "quiet\n"
        assert board.cmdline("", cmdline_absent=["quiet"]) == ""

    def test_a_second_line_is_refused(self, board: Board) -> None:
        board.set("cmdline.txt", CMDLINE + "cgroup_enable=memory\n")
        with pytest.raises(
            BootFileError, match=r"cmdline.txt holds 2 lines, but must be one; .*'cgroup_enable=memory'"
        ):
            board.run(cmdline=["quiet"])

    def test_an_open_quote_in_the_file_is_refused(self, board: Board) -> None:
        board.set("cmdline.txt", 'dyndbg="file a +p rw\n')
        with pytest.raises(BootFileError, match=r"cmdline.txt holds a double quote that is not closed"):
            board.run(cmdline=["quiet"])

    @pytest.mark.parametrize(
        ("word", "flaw"),
        [
            ("", "is empty"),
            ("two words", "is not one word"),
            (" quiet", "is not one word"),
            ('a="b', "is not one word"),
            ("a\nb", "holds a line break"),
            ("a\rb", "holds a line break"),
            ("\u2013quiet", "is not ASCII"),
            ("=yes", "has no name"),
            ("--", "has no name"),
        ],
    )
    def test_what_is_no_word_is_refused(self, board: Board, word: str, flaw: str) -> None:
        for option in ("cmdline", "cmdline_absent"):
            with pytest.raises(BootFileError, match=f"{option}: .*{flaw}"):
                board.run(**{option: [word]})

    def test_what_is_wanted_and_unwanted_is_refused(self, board: Board) -> None:
        for absent in ("panic", "panic=10"):
            with pytest.raises(BootFileError, match="cmdline and cmdline_absent both have panic"):
                board.run(cmdline=["panic=10"], cmdline_absent=[absent])

    def test_bytes_that_are_no_text_are_kept(self, board: Board) -> None:
        board.set("cmdline.txt", b"a=\xff\xfe rw\n")
        board.run(cmdline=["quiet"])
        assert (board.folder / "cmdline.txt").read_bytes() == b"a=\xff\xfe rw quiet\n"


def setting(name: str, value: str | None = None, **more: str) -> dict[str, str]:
    return {"name": name, **({"value": value} if value is not None else {}), **more}


def absent(name: str, value: str | None = None, **more: str) -> dict[str, str]:
    return setting(name, value, state="absent", **more)


class TestConfig:
    def test_only_the_one_line_changes(self, board: Board) -> None:
        after = board.config(CONFIG, setting("enable_uart", "1"))
        assert after == CONFIG.replace("enable_uart=0", "enable_uart=1")

    def test_a_new_setting_comes_at_the_end_of_its_section(self, board: Board) -> None:
        assert board.config(CONFIG, setting("gpu_mem", "16")) == CONFIG + "gpu_mem=16\n"
        after = board.config(CONFIG, setting("over_voltage", "2", section="pi4"))
        assert after == CONFIG.replace("arm_boost=1\n", "arm_boost=1\nover_voltage=2\n")

    def test_the_same_name_in_another_section_is_anothers(self, board: Board) -> None:
        after = board.config(CONFIG, setting("arm_boost", "0"))
        assert after == CONFIG + "arm_boost=0\n"

    def test_a_new_section_leaves_the_end_without_a_filter(self, board: Board) -> None:
        assert (
            board.config(CONFIG, setting("arm_freq", "1500", section="pi3"))
            == CONFIG + "[all]\n[pi3]\narm_freq=1500\n[all]\n"
        )

    def test_behind_a_filter_all_begins_anew(self, board: Board) -> None:
        assert board.config("[pi4]\narm_boost=1", setting("gpu_mem", "16")) == "[pi4]\narm_boost=1\n[all]\ngpu_mem=16\n"

    def test_filters_of_one_kind_replace_each_other_and_others_add_up(self, board: Board) -> None:
        text = "[pi3]\na=1\n[pi4]\na=2\n[0x1234abcd]\na=3\n[all]\n"
        assert board.config(text, setting("a", "9", section="pi4")) == text.replace("a=2", "a=9")

    def test_the_last_of_several_is_the_one_that_counts(self, board: Board) -> None:
        assert board.config("a=1\n#a=5\na=2\n", setting("a", "3")) == "a=1\n#a=5\na=3\n"
        assert board.config("a=1\na=3\n", setting("a", "3")) == "a=1\na=3\n"

    def test_a_parameter_of_the_tree_is_written_before_overlays(self, board: Board) -> None:
        after = board.config(CONFIG, setting("dtparam", "watchdog=on"))
        assert after == CONFIG.replace("dtparam=audio=on\n", "dtparam=audio=on\ndtparam=watchdog=on\n")
        assert board.config("dtoverlay=x\n", setting("dtparam", "a=on")) == "dtparam=a=on\ndtoverlay=x\n"
        assert board.config("[pi4]\ndtoverlay=x\n[all]\n", setting("dtparam", "a=on")).startswith(
            "dtparam=a=on\n[pi4]\n"
        )

    def test_parameters_on_one_line_count_each_for_itself(self, board: Board) -> None:
        text = "dtparam=i2c_arm=on,spi=off,audio=on\n"
        assert board.config(text, setting("dtparam", "spi=on")) == "dtparam=i2c_arm=on,spi=on,audio=on\n"
        assert board.config(text, setting("dtparam", "audio=on,spi=off")) == text
        assert board.config(text, absent("dtparam", "spi=off")) == "dtparam=i2c_arm=on,audio=on\n"

    def test_overlays_stand_beside_each_other(self, board: Board) -> None:
        after = board.config(CONFIG, setting("dtoverlay", "disable-bt"), setting("dtoverlay", "vc4-kms-v3d"))
        assert after == CONFIG + "dtoverlay=disable-bt\n"

    def test_removal_by_name_or_by_value_in_its_section_only(self, board: Board) -> None:
        assert board.config(CONFIG, absent("enable_uart")) == CONFIG.replace("enable_uart=0\n", "")
        assert board.config(CONFIG, absent("dtoverlay", "other")) == CONFIG
        assert board.config(CONFIG, absent("arm_boost")) == CONFIG
        assert board.config(CONFIG, absent("arm_boost", section="pi4")) == CONFIG.replace("arm_boost=1\n", "")

    def test_lines_of_windows_stay_so(self, board: Board) -> None:
        windows = CONFIG.replace("\n", "\r\n")
        after = board.config(windows, setting("enable_uart", "1"), setting("gpu_mem", "16"))
        assert after == windows.replace("enable_uart=0", "enable_uart=1") + "gpu_mem=16\r\n"

    def test_a_missing_line_end_is_added_when_something_follows(self, board: Board) -> None:
        assert board.config("a=1", setting("a", "1")) == "a=1"
        assert board.config("a=1", setting("a", "2")) == "a=2"
        assert board.config("a=1", setting("b", "2")) == "a=1\nb=2\n"

    def test_an_empty_file(self, board: Board) -> None:
        assert board.config("", setting("a", "1")) == "a=1\n"
        assert board.config("", setting("a", "1", section="pi4")) == "[all]\n[pi4]\na=1\n[all]\n"
        assert board.config("", setting("dtparam", "a=on")) == "dtparam=a=on\n"

    def test_includes_are_lines_like_others(self, board: Board) -> None:
        text = "include extra.txt\ninclude=other.txt\na=1\n"
        assert board.config(text, setting("a", "2")) == text.replace("a=1", "a=2")

    def test_blanks_around_what_others_wrote_are_understood(self, board: Board) -> None:
        assert (
            board.config(" [pi4] \n gpu_mem = 16\n", setting("gpu_mem", "16", section="pi4"))
            == " [pi4] \n gpu_mem = 16\n"
        )

    @pytest.mark.parametrize(
        ("bad", "flaw"),
        [
            (setting("a", "1\n[pi4]"), "line break"),
            (setting("a\nb", "1"), "line break"),
            (setting("a b", "1"), "has the name 'a b'"),
            (setting("#a", "1"), "has the name '#a'"),
            (setting("", "1"), "has the name ''"),
            (setting("a", "1", section="[pi4]"), "without brackets"),
            (setting("a", "1", section=""), "without brackets"),
            (setting("a"), "has no value"),
            (setting("a", ""), "has no value"),
            (setting("a", " 1"), "blanks around it"),
            (setting("a", "x" * 97), "longer than 98 characters"),
        ],
    )
    def test_what_would_spoil_the_file_is_refused(self, board: Board, bad: dict[str, str], flaw: str) -> None:
        with pytest.raises(BootFileError, match=flaw):
            board.run(config=[bad])
        assert board.get("config.txt") == CONFIG


class TestFiles:
    def test_the_first_version_is_kept_for_ever(self, board: Board) -> None:
        board.run(cmdline=["panic=10"])
        done = board.run(cmdline=["panic=20"])
        assert done["backup_files"] == [str(board.folder / "cmdline.txt.before-greenlab")]
        assert board.get("cmdline.txt.before-greenlab") == CMDLINE
        assert sorted(path.name for path in board.folder.iterdir()) == [
            "cmdline.txt",
            "cmdline.txt.before-greenlab",
            "config.txt",
        ]

    def test_a_power_cut_while_writing_leaves_the_old_file(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        def cut(_stream: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(_pi_boot.os, "fsync", cut)
        with pytest.raises(KeyboardInterrupt):
            board.run(cmdline=["panic=10"])
        assert board.get("cmdline.txt") == CMDLINE

    def test_modes_and_owners_are_not_touched(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbidden(*_args: Any, **_options: Any) -> None:
            raise PermissionError("FAT has no owners and modes")

        for name in ("chmod", "chown", "fchmod", "fchown", "lchown"):
            monkeypatch.setattr(f"os.{name}", forbidden)
        assert board.run(cmdline=["panic=10"])["changed"]

    def test_a_card_that_cannot_be_written_is_named(self, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_path: Path, _data: bytes) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(pi_boot, "write", full)
        with pytest.raises(
            BootFileError, match=r"cmdline.txt cannot be written: Read-only file system\. .*mount it writable"
        ):
            board.run(cmdline=["panic=10"])

    def test_a_machine_without_boot_files_is_refused(self, board: Board, tmp_path: Path) -> None:
        with pytest.raises(BootFileError, match="neither cmdline.txt nor config.txt in .*: this is no Raspberry Pi"):
            board.run(folder=str(tmp_path / "nowhere"))

    def test_a_file_that_is_missing_is_named(self, board: Board) -> None:
        (board.folder / "config.txt").unlink()
        with pytest.raises(BootFileError, match=r"config.txt is not there"):
            board.run(config=[setting("a", "1")])

    def test_the_old_place_that_only_points_on_is_refused(self, board: Board) -> None:
        board.set(
            "cmdline.txt",
            "DO NOT EDIT THIS FILE\n\nThe file you are looking for has moved to /boot/firmware/cmdline.txt\n",
        )
        with pytest.raises(BootFileError, match="has moved to /boot/firmware/cmdline.txt, which is not there. Mount"):
            board.run(cmdline=["quiet"])

    def test_the_new_place_comes_before_the_old(
        self, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pi_boot, "FOLDERS", [tmp_path / "firmware", board.folder])
        assert pi_boot.folder_of({"folder": None}) == board.folder
        (tmp_path / "firmware").mkdir()
        (tmp_path / "firmware/cmdline.txt").touch()
        assert pi_boot.folder_of({"folder": None}) == tmp_path / "firmware"

    def test_a_reboot_is_due_until_the_kernel_has_the_words(self, board: Board) -> None:
        assert not board.run(cmdline=["quiet"], cmdline_absent=["splash"])["reboot_required"]
        assert board.run(cmdline=["panic=10"])["reboot_required"]
        assert board.run(cmdline=["panic=10"])["reboot_required"], "not booted yet"
        assert board.run(cmdline_absent=["quiet"])["reboot_required"]
        pi_boot.RUNNING.write_text(board.get("cmdline.txt"), encoding="utf8")
        assert not board.run(cmdline=["panic=10"], cmdline_absent=["quiet"])["reboot_required"]
        assert board.run(config=[setting("a", "1")])["reboot_required"]

    def test_the_diff_names_the_file(self, board: Board) -> None:
        diff = board.run(check_mode=True, cmdline=["panic=10"])["diff"]
        assert [part["after_header"] for part in diff] == [str(board.folder / "cmdline.txt")]
        assert diff[0]["after"] == CMDLINE.replace("\n", " panic=10\n")

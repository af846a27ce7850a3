# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that the Green Metrics Tool makes before and after a measurement, under the names of its functions.

Read from lib/system_checks.py and lib/system_checks_root.py, v0.21 to main of August 2026. Which release makes which
check, how severe it is, and limits that moved, are in the release table. Where a check would write or start something,
what it asks is read elsewhere; where the tool lets pass what it could not read, that is said here.
"""

from __future__ import annotations

import math
import os
import re
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._verify_facts import CPU_PERCENT, Facts


class Finding(t.NamedTuple):
    """What a check found. `ok` is None where there was nothing to check, and `value` says why."""

    ok: bool | None
    value: str
    wanted: str


Check = t.Callable[[Facts], Finding]
_CPU = "/sys/devices/system/cpu"


def skipped(why: str) -> Finding:
    """Return the finding of a check that does not apply here."""
    return Finding(None, why, "")


_NOT_CONFIGURED = skipped("not in config.yml")
_NO_DOCKER = skipped("no docker daemon, see docker_daemon")


def none_of(found: t.Sequence[str], wanted: str = "none") -> Finding:
    """Return the finding of a check that wants nothing to be there."""
    return Finding(not found, ", ".join(found) or "none", wanted)


def _gib(size: float) -> str:
    return f"{size / 1024**3:.1f} GiB"


# The tool's own needs


def db(facts: Facts) -> Finding:
    """The client's login to the jobs DB."""
    flaw = facts.probe.get("db_flaw") or facts.probe.get("config_flaw")
    return Finding(flaw is None, flaw or f"reached {facts.probe['db_name']}", "reached")


def temperature(facts: Facts) -> Finding:
    """The base temperature, from which a measurement starts."""
    chip, feature, base = (facts.config(f"machine.base_temperature_{key}") for key in ("chip", "feature", "value"))
    if not (chip and feature and base):
        return _NOT_CONFIGURED
    program = f"{facts.o.dir}/metric_providers/lmsensors/metric-provider-binary"
    done = facts.as_client(program, "-c", str(chip), "-f", str(feature), "-n", "1")
    wanted = f"more than {base - 10}, at most {base} °C"
    match = re.match(r"\S+ (\d+)", done.out)
    if done.rc or not match:
        return Finding(False, f"cannot be read: {done.last_words}", wanted)
    celsius = int(match[1]) / 100
    return Finding(base - 10 < celsius <= base, f"{celsius} °C", wanted)


def gmt_dir_dirty(facts: Facts) -> Finding:
    """Files in the checkout that are not the release's."""
    if facts.git.rc:
        return Finding(False, facts.git.last_words, "clean")
    changed = [line.split()[-1] for line in facts.git.out.splitlines() if not line.startswith("#")]
    return Finding(not changed, ", ".join(changed) or "clean", "clean")


def one_energy_and_scope_machine_provider(facts: Facts) -> Finding:
    """Providers that each measure the energy of the whole machine."""
    marks = facts.o.release["system_limits"]["energy_provider"]
    found = [name for name in facts.providers if all(mark in name for mark in marks)]
    return Finding(len(found) <= 1, ", ".join(found) or "none", "at most one")


def largest_sampling_rate(facts: Facts) -> Finding:
    """The slowest provider."""
    rates = [(settings or {}).get("sampling_rate", 0) for settings in facts.providers.values()]
    return Finding(max(rates, default=0) <= 1000, f"{max(rates, default=0)} ms", "at most 1000 ms")


def utf_encoding(facts: Facts) -> Finding:
    """Encoding of the tool's Python in the client's environment."""
    said = facts.probe.get("encoding", [facts.probe.get("flaw", "unknown")])
    return Finding(set(said) == {"utf-8"}, ", ".join(said), "utf-8")


def tty_attached(facts: Facts) -> Finding:
    """A terminal at the client's standard input."""
    pid = facts.unit.get("MainPID", "0")
    if pid == "0":
        return skipped("no client service runs")
    try:
        link = os.readlink(facts.m.path(f"/proc/{pid}/fd/0"))
    except OSError:
        return skipped("the client has no standard input")
    return Finding(not re.match(r"/dev/(pts/|tty|console)", link), link, "no terminal")


# Room


def free_disk(facts: Facts) -> Finding:
    """Room where the tool is."""
    try:
        status = os.statvfs(facts.m.path(f"{facts.o.dir}/lib"))
    except OSError as error:
        return Finding(False, f"{facts.o.dir}/lib: {error.strerror}", "")
    wanted = facts.o.release["system_limits"]["free_disk"]
    free = status.f_bavail * status.f_frsize
    return Finding(free >= wanted, _gib(free), f"at least {_gib(wanted)}")


def _meminfo(facts: Facts, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB", facts.m.text("/proc/meminfo") or "", re.M)
    return int(match[1]) * 1024 if match else 0


def free_memory(facts: Facts) -> Finding:
    """Memory that is available."""
    wanted = facts.o.release["system_limits"]["free_memory"]
    free = _meminfo(facts, "MemAvailable")
    return Finding(free >= wanted, _gib(free), f"at least {_gib(wanted)}")


def _cpu_count(facts: Facts) -> int:
    ranges = re.findall(r"(\d+)(?:-(\d+))?", facts.m.text(f"{_CPU}/online") or "")
    return sum(int(last or first) - int(first) + 1 for first, last in ranges)


def available_cpus(facts: Facts) -> Finding:
    """Processors of the machine."""
    return Finding(_cpu_count(facts) >= 2, str(_cpu_count(facts)), "at least 2")


def cpu_utilization(facts: Facts) -> Finding:
    """Load of the processors over 0.1 s."""
    return Finding(facts.cpu_percent < CPU_PERCENT, f"{facts.cpu_percent} %", f"less than {CPU_PERCENT} %")


# Docker


def docker_daemon(facts: Facts) -> Finding:
    """The daemon that runs what is measured."""
    value = "reached" if facts.docker else facts.docker_names.last_words
    return Finding(facts.docker is not None, value, "reached")


def docker_host_env(facts: Facts) -> Finding:
    """The address of a rootless daemon in the client's environment."""
    if facts.docker is None:
        return _NO_DOCKER
    host = facts.client_env.get("DOCKER_HOST", "")
    rootless = any("rootless" in option for option in facts.docker.get("SecurityOptions") or [])
    kind = "rootless" if rootless else "rootful"
    wanted = "DOCKER_HOST set, for docker is rootless" if rootless else "any, for docker is rootful"
    return Finding(bool(host) or not rootless, f"{kind}, DOCKER_HOST={host}", wanted)


def docker_cpu_availability(facts: Facts) -> Finding:
    """Processors that docker sees."""
    if facts.docker is None:
        return _NO_DOCKER
    return Finding(facts.docker["NCPU"] == _cpu_count(facts), str(facts.docker["NCPU"]), str(_cpu_count(facts)))


def assignable_cpus(facts: Facts) -> Finding:
    """Processors left for containers."""
    if facts.docker is None:
        return _NO_DOCKER
    reserved = int(facts.config("machine.host_reserved_cpus") or 0)
    left = facts.docker["NCPU"] - reserved
    wanted = "at least 1 left, at least 1 reserved (machine.host_reserved_cpus)"
    return Finding(left > 0 and reserved > 0, f"{left} left, {reserved} reserved", wanted)


def _assignable_memory(facts: Facts, docker: dict[str, t.Any]) -> int:
    return docker["MemTotal"] - int(facts.config("machine.host_reserved_memory") or 0)


def assignable_memory(facts: Facts) -> Finding:
    """Memory left for containers."""
    if facts.docker is None:
        return _NO_DOCKER
    left = _assignable_memory(facts, facts.docker)
    return Finding(left > 0, _gib(left), "more than 0 (machine.host_reserved_memory)")


def assignable_memory_oom(facts: Facts) -> Finding:
    """Memory that containers may take and the machine has not."""
    if facts.docker is None:
        return _NO_DOCKER
    left, free = _assignable_memory(facts, facts.docker), _meminfo(facts, "MemAvailable")
    return Finding(left <= free, _gib(left), f"at most the available {_gib(free)} (machine.host_reserved_memory)")


def containers_running(facts: Facts) -> Finding:
    """Containers beside those of a measurement."""
    return _NO_DOCKER if facts.docker is None else none_of(facts.docker_names.out.split())


def docker_registry_url(facts: Facts) -> Finding:
    """The mirror that docker pulls from."""
    expected = facts.config("machine.docker_registry_url")
    if expected is None:
        return _NOT_CONFIGURED
    if facts.docker is None:
        return _NO_DOCKER
    mirrors = [url.rstrip("/") for url in (facts.docker.get("RegistryConfig") or {}).get("Mirrors") or []]
    ok = not mirrors if expected is False else str(expected).rstrip("/") in mirrors
    return Finding(ok, ", ".join(mirrors) or "none", "none" if expected is False else str(expected))


# What disturbs


def tmpfs_mount(facts: Facts) -> Finding:
    """A disk that is mounted at /tmp. A folder of the root file system passes, as it does in the tool."""
    kinds = (facts.m.text("/proc/filesystems") or "").splitlines()
    disks = {kind.strip() for kind in kinds if not kind.startswith("nodev")} | {"zfs"}
    mounts = [line.split() for line in (facts.m.text("/proc/self/mounts") or "").splitlines()]
    found = [fields[2] for fields in mounts if fields[1] == "/tmp" and fields[2] in disks]  # noqa: S108 - only read
    return none_of(found, "no disk at /tmp")


def ntp(facts: Facts) -> Finding:
    """A time service. The tool wants one that is there and at rest, for its maintenance sets the clock by it."""
    active = [unit for unit, state in facts.ntp_units.items() if state not in ("inactive", "failed")]
    if not facts.ntp_units:
        return Finding(False, "no time service installed", "installed, inactive")
    return Finding(not active, ", ".join(active) + " active" if active else "inactive", "installed, inactive")


def swap_disabled(facts: Facts) -> Finding:
    """Swap space."""
    total = _meminfo(facts, "SwapTotal")
    return Finding(total == 0, _gib(total) if total else "none", "none")


def kernel_watchdog(facts: Facts) -> Finding:
    """Watchdogs of the kernel, which interrupt every processor."""
    names = ["watchdog", "nmi_watchdog", "soft_watchdog"]
    values = {name: facts.m.text(f"/proc/sys/kernel/{name}") for name in names}
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return skipped("not in this kernel")
    return none_of([f"kernel.{name}={value}" for name, value in known.items() if value != "0"], "all 0")


def systemd_timers(facts: Facts) -> Finding:
    """Timers of the machine and of the account."""
    found, flaws = [], []
    for scope, timers in facts.timers.items():
        if isinstance(timers, str):
            flaws.append(f"{scope}: {timers}")
        else:
            found += timers
    # The tool ends with an exception where the account's service manager does not answer.
    return none_of(found + flaws)


def cron_files(facts: Facts) -> Finding:
    """Files that cron reads, placeholders included."""
    places = ["/var/spool/cron", *facts.m.names("/etc/cron*")]
    return none_of([file for place in places for file in facts.m.files_below(place)])


def ssh_session(facts: Facts) -> Finding:
    """Ssh connections in either direction, and remote logins, but for our own."""
    peers = [f"connection with {peer}" for peer in facts.ssh_peers]
    return none_of(peers + [f"login of {name}" for name in facts.who], "none but this playbook's")


def suspend(facts: Facts) -> Finding:
    """Lines of the journal that would make a run fail which they fell into."""
    lines = [line if len(line) < 100 else f"{line[:100]}…" for line in facts.journal[-3:]]
    return none_of(lines, f"no line that contains it, but a true sleep's, in {facts.o.journal_seconds} s")


def steal_time(facts: Facts) -> Finding:
    """Time that a hypervisor took, since boot."""
    return Finding(facts.cpu_times["steal"] == 0, f"{facts.cpu_times['steal']} ticks", "0, no virtual machine")


def guest_time(facts: Facts) -> Finding:
    """Time that this machine gave to guests, since boot."""
    ticks = facts.cpu_times["guest"] + facts.cpu_times["guest_nice"]
    return Finding(ticks == 0, f"{ticks} ticks", "0, no virtual machine on it")


# The machine as config.yml describes it


def _rapl(kind: str) -> Check:
    def check(facts: Facts) -> Finding:
        cap = facts.config(f"machine.rapl_power_capping.{kind}")
        if not cap:
            return _NOT_CONFIGURED
        domains = _rapl_limits(facts, kind)
        watts = sorted({f"{limit / 1_000_000:g} W" for limits in domains for limit in limits.values()})
        both = facts.o.release["system_limits"]["rapl_both_limits"]
        ok = bool(domains) and all(
            limits and set(limits.values()) == {int(cap) * 1_000_000} and (len(limits) == 2 or not both)
            for limits in domains
        )
        # The tool lets a cap pass that its helper did not find; a cap that is nowhere is none.
        return Finding(ok, ", ".join(watts) or f"no {kind} limit found", f"{cap} W, long and short term")

    check.__doc__ = f"Power cap of the domain {kind}."
    return check


def _rapl_limits(facts: Facts, kind: str) -> list[dict[str, int]]:
    found = []
    for path in facts.m.names("/sys/devices/virtual/powercap/intel-rapl/**/name"):
        folder, name = os.path.dirname(path), facts.m.text(path) or ""
        if not os.path.basename(folder).startswith("intel-rapl:") or not (
            name.startswith(kind) if kind == "package" else name == kind
        ):
            continue
        limits = {}
        for term_file in facts.m.names(f"{folder}/constraint_*_name"):
            limit = facts.m.number(term_file.replace("_name", "_power_limit_uw"))
            term = facts.m.text(term_file)
            if term in ("long_term", "short_term") and limit is not None:
                limits[term] = limit
        found.append(limits)
    return found


def cpu_cores(facts: Facts) -> Finding:
    """Logical processors."""
    expected = facts.config("machine.cpu_cores")
    if not expected:
        return _NOT_CONFIGURED
    return Finding(_cpu_count(facts) == int(expected), str(_cpu_count(facts)), str(expected))


def dram(facts: Facts) -> Finding:
    """Memory of the machine, in full GB."""
    expected = facts.config("machine.dram_gb")
    if not expected:
        return _NOT_CONFIGURED
    done = facts.m.run("lsmem", "--summary=only")
    sizes = re.findall(r"^\s*Total online memory:\s*([\d.]+)G", done.out, re.M)
    if not sizes:
        return Finding(False, f"lsmem: {done.last_words}", f"{expected} GB")
    total = sum(math.ceil(float(size)) for size in sizes)
    return Finding(total == math.ceil(float(expected)), f"{total} GB", f"{expected} GB")


def _devices(program: str, key: str) -> Check:
    def check(facts: Facts) -> Finding:
        allowed = facts.config(f"machine.{key}")
        if not allowed:
            return _NOT_CONFIGURED
        done = facts.m.run(program)
        if done.rc:
            return Finding(False, f"{program}: {done.last_words}", f"those of machine.{key}")
        lines = [line.strip() for line in done.out.splitlines() if line.strip()]
        unknown = [line for line in lines if not any(entry in line for entry in allowed)]
        return Finding(not unknown, "; ".join(unknown) or f"{len(lines)} known", f"those of machine.{key}")

    check.__doc__ = f"Devices that {program} lists and config.yml does not."
    return check


def _scaling(key: str, file: str) -> Check:
    def check(facts: Facts) -> Finding:
        expected = facts.config(f"machine.{key}")
        if expected is None:
            return _NOT_CONFIGURED
        values = {facts.m.text(path) for path in facts.m.names(f"{_CPU}/*/cpufreq/{file}")} - {None}
        if not values and expected is not False:
            return skipped("no frequency scaling here")
        value = ", ".join(sorted(map(str, values))) or "none"
        return Finding(values == (set() if expected is False else {expected}), value, str(expected or "none"))

    check.__doc__ = f"What {file} says of each processor."
    return check


def _switch(value: bool) -> str:
    return "on" if value else "off"


def cpu_smt(facts: Facts) -> Finding:
    """Two threads on one core."""
    expected = facts.config("machine.cpu_smt")
    if expected is None:
        return _NOT_CONFIGURED
    active = facts.m.text(f"{_CPU}/smt/active") == "1"
    return Finding(active is bool(expected), _switch(active), _switch(expected))


def cpu_turbo_boost(facts: Facts) -> Finding:
    """Clocks above the nominal one."""
    expected = facts.config("machine.cpu_turbo_boost")
    if expected is None:
        return _NOT_CONFIGURED
    no_turbo = facts.m.text(f"{_CPU}/intel_pstate/no_turbo")
    boost = facts.m.text(f"{_CPU}/cpufreq/boost") == "1" if no_turbo is None else no_turbo == "0"
    return Finding(boost is bool(expected), _switch(boost), _switch(expected))


def cpu_frequency(facts: Facts) -> Finding:
    """The clock of each processor, as psutil.cpu_freq has it, which the tool asks."""
    expected = facts.config("machine.cpu_frequency_mhz")
    if not expected:
        return _NOT_CONFIGURED
    told = [float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", facts.m.text("/proc/cpuinfo") or "", re.M)]
    policies = facts.m.names(f"{_CPU}/cpufreq/policy*/scaling_cur_freq")
    if policies and len(policies) != len(told):
        told = [(facts.m.number(path) or 0) / 1000 for path in policies]
    if not told:
        return skipped("the kernel does not tell")
    ok = all(abs(mhz - int(expected)) <= 10 for mhz in told)
    return Finding(ok, f"{min(told):.0f} to {max(told):.0f} MHz", f"{expected} MHz ± 10")


CHECKS: dict[str, Check] = {
    "db": db,
    "docker_daemon": docker_daemon,
    "docker_host_env": docker_host_env,
    "docker_cpu_availability": docker_cpu_availability,
    "docker_registry_url": docker_registry_url,
    "containers_running": containers_running,
    "assignable_cpus": assignable_cpus,
    "assignable_memory": assignable_memory,
    "assignable_memory_oom": assignable_memory_oom,
    "available_cpus": available_cpus,
    "free_disk": free_disk,
    "free_memory": free_memory,
    "one_energy_and_scope_machine_provider": one_energy_and_scope_machine_provider,
    "largest_sampling_rate": largest_sampling_rate,
    "utf_encoding": utf_encoding,
    "tty_attached": tty_attached,
    "gmt_dir_dirty": gmt_dir_dirty,
    "ntp": ntp,
    "systemd_timers": systemd_timers,
    "cron_files": cron_files,
    "swap_disabled": swap_disabled,
    "kernel_watchdog": kernel_watchdog,
    "ssh_session": ssh_session,
    "cpu_utilization": cpu_utilization,
    "tmpfs_mount": tmpfs_mount,
    "suspend": suspend,
    "steal_time": steal_time,
    "guest_time": guest_time,
    "temperature": temperature,
    "rapl_power_capping_package": _rapl("package"),
    "rapl_power_capping_dram": _rapl("dram"),
    "rapl_power_capping_psys": _rapl("psys"),
    "cpu_cores": cpu_cores,
    "dram": dram,
    "usb_devices": _devices("lsusb", "usb_devices"),
    "pci_devices": _devices("lspci", "pci_devices"),
    "cpu_governor": _scaling("cpu_governor", "scaling_governor"),
    "cpu_smt": cpu_smt,
    "cpu_turbo_boost": cpu_turbo_boost,
    "cpu_frequency": cpu_frequency,
    "cpu_scaling_driver": _scaling("cpu_scaling_driver", "scaling_driver"),
}

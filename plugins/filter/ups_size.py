# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a UPS must be for some machines and some time."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ups_size
short_description: Say how large a UPS must be
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - A UPS has two sizes. Its battery says how long it lasts, in Wh. Its inverter says how much may hang on it at once,
    in VA; VA says nothing about time.
  - "RV(_value.load_wh) is the rule of thumb, C(load_wh = sum of watts * hours * safety): what the machines take from
    the sockets, with reserve. For 8 machines of 5 W, a quarter of an hour and twice the reserve it is 20 Wh."
  - "RV(_value.battery_wh) adds what is lost and what must stay in the battery, C(battery_wh = load_wh / (inverter *
    usable)): 29.4 Wh for the same."
  - "RV(_value.va) is C(va = sum of watts / (power_factor * load)): 83.3 VA for the same. Real power in W is apparent
    power in VA times the power factor, and a UPS may deliver no more of either than its data sheet says."
  - The defaults are rough figures of small line-interactive UPSs with lead batteries. Take those of the data sheet.
options:
  _input:
    description: Power of the machines in W under load, one number each (or one for all), measured at the socket.
    type: list
    elements: float
    required: true
  hours:
    description: How long the machines must run on battery, in hours.
    type: float
    required: true
  safety:
    description: Reserve, as a factor of at least 1, for a battery that grows old, for cold and for machines to come.
    type: float
    default: 2
  inverter:
    description: Efficiency of the way from battery to socket, more than 0 to 1.
    type: float
    default: 0.85
  usable:
    description: Share of the battery that may be taken before the UPS says that it is low, more than 0 to 1.
    type: float
    default: 0.8
  power_factor:
    description:
      - W per VA that the UPS may deliver, more than 0 to 1. Consumers' UPSs have 0.5 to 0.7, larger ones 0.9 and more.
    type: float
    default: 0.6
  load:
    description: Share of its power that the UPS shall be loaded with, more than 0 to 1.
    type: float
    default: 0.8
"""

EXAMPLES = r"""
- name: Say how large a UPS must be for eight Raspberry Pis and a quarter of an hour
  ansible.builtin.debug:
    msg: "{{ ([5] * 8) | greenlab.cluster.ups_size(hours=0.25) }}"
  # => {"watts": 40.0, "load_wh": 20.0, "battery_wh": 29.4, "va": 83.3}
"""

RETURN = r"""
_value:
  description: The sizes, rounded to a tenth.
  type: dict
  contains:
    watts:
      description: Power of all machines, in W.
      type: float
    load_wh:
      description: Energy that the machines take, with reserve, in Wh.
      type: float
    battery_wh:
      description: Energy that the battery must hold, in Wh.
      type: float
    va:
      description: Apparent power that the UPS must deliver, in VA.
      type: float
"""

import math
from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError


def ups_size(
    watts: object,
    hours: object,
    *,
    safety: object = 2,
    inverter: object = 0.85,
    usable: object = 0.8,
    power_factor: object = 0.6,
    load: object = 0.8,
) -> dict[str, float]:
    """Return watts, load_wh, battery_wh and va, or raise AnsibleFilterError."""
    machines = list(watts) if isinstance(watts, Sequence) and not isinstance(watts, str) else [watts]
    if not machines:
        raise AnsibleFilterError("ups_size: there is no machine. Give the power of each in W.")
    total = sum(_number(f"power of machine {place}", power, "W") for place, power in enumerate(machines, 1))
    load_wh = total * _number("hours", hours, "hours") * _number("safety", safety, "a factor", least=1)
    return {
        "watts": round(total, 1),
        "load_wh": round(load_wh, 1),
        "battery_wh": round(load_wh / (_share("inverter", inverter) * _share("usable", usable)), 1),
        "va": round(total / (_share("power_factor", power_factor) * _share("load", load)), 1),
    }


def _number(name: str, value: object, unit: str, least: float = 0) -> float:
    """Return the value as a number that is more than 0, and not less than the least."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"ups_size: {name} is {value!r}, which is no number. Give {unit}.") from error
    if not math.isfinite(number) or number <= 0 or number < least:
        wanted = f"at least {least}" if least else "more than 0"
        raise AnsibleFilterError(f"ups_size: {name} is {value!r}. Give {unit}, {wanted}.")
    return number


def _share(name: str, value: object) -> float:
    number = _number(name, value, "a share from more than 0 to 1, such as 0.8 for 80 %")
    if number > 1:
        raise AnsibleFilterError(
            f"ups_size: {name} is {value!r}. Give a share from more than 0 to 1, such as 0.8 for 80 %."
        )
    return number


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., dict[str, float]]]:
        """Return the filters of this file by name."""
        return {"ups_size": ups_size}

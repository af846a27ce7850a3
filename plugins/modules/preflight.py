#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check the variables of all hosts before any of them is contacted
version_added: 0.1.0
description:
  - Checks the variables of all hosts of the inventory, also of those that C(--limit) leaves out, and prints all
    problems together, one line each, with host, variable, value and what to do.
  - Of a host that the play leaves out and whose variables no host of the play reads (V(read_by) in O(groups)) only
    the essentials are checked, so that one host costs little in a large cluster. These are the variables that must be
    unique, with all of their rules, and whether each required variable is set and of the type that its role wants.
    The sizes of groups are always checked.
  - Runs once, on the controller, and contacts no host.
  - Knows no group and no variable by itself. The playbook says in O(groups) what is wanted of which group.
  - Beside that, a variable that begins with the name of a role and is no option of any role is taken for a spelling
    mistake, see O(unknown). So is any other whose name is nearly that of a known one, except those of Ansible.
  - A group with nearly the name of one in O(groups), and with hosts that are in none of these, is an error.
  - With ansible-core 2.19 or newer a problem ends with file and line of the value, where a file has it.
  - Values are read as the inventory gives them to the host, group variables, host variables and C(--extra-vars)
    among them, and templated in the context of the host.
    Variables that a play sets are not seen.
  - A value that is secret by its name (C(password), C(token), C(secret), C(key) and the like), by C(no_log) in a role's
    specification, or because it comes out of a vault, is never printed.
author:
  - greenlab.cluster contributors (!UNKNOWN)
options:
  groups:
    description:
      - What to check, by name of the group. A host that is in several of them is checked for each.
      - The keys of a group, all of them optional, are the following.
      - V(min_hosts) and V(max_hosts) (integers) bound the number of hosts. A group that the inventory does not have
        counts 0 hosts. The defaults are 0 and no bound.
      - V(needed_by) (list of strings) names groups; V(min_hosts) holds only if one of them has hosts.
      - V(apart_from) (dictionary) names groups that may have no host of this one, each with the reason.
      - V(roles) (list of strings) names roles whose C(meta/argument_specs.yml), entry point C(main), the variables must
        fit. Type, choices, elements and suboptions of each option that is set are checked as Ansible does when it calls
        the role. Unlike there, text for a list, a number or a dictionary is an error, for a role would get the text.
        An option that is C(required) there must be set and not be empty.
      - V(provided) (list of strings) names options that the playbook itself gives to the roles,
        so they may be missing although they are C(required).
      - V(read_by) (list of strings) names groups whose hosts read the variables of this group's hosts. Where none of
        these groups has a host in the play, only the essentials of this group's hosts outside of the play are checked.
        Without it all hosts of the group are always checked wholly.
      - V(required) (list of strings) names variables that must be set, and not to V(none) or empty text.
      - V(exclusive) (list of lists of strings) names variables of which at most one may be set on a host.
        V(false), V(none), empty text and words such as V(no) count as not set.
      - V(impossible) (list of dictionaries) has V(values) that no host may have together, and V(why), the reason.
        A variable that is not set has the default of its role; one that is a list has each of its elements.
      - V(values) (dictionary) has rules by name of the variable. A variable that is not set passes all of them.
      - Keys of a rule are V(type), V(min), V(max), V(choices), V(covers), V(no_example), V(not_empty), V(single_line),
        V(matches), V(inside), V(one_of), V(remedy) and V(unique).
      - With V(type=int) the value must be a whole number, a boolean or a number in quotes is an error.
        V(min) and V(max) bound it.
      - With V(type=str) the value must be text.
      - With V(type=bool) the value must be true or false, or text that means it, for variables of the command line.
      - With V(type=list) the value must be a list.
      - With V(type=release) the value must be a tag of a release of GMT that has a cluster mode, or V(main).
        One of a newer major version than this collection knows is an error.
      - With V(type=hba) the value must be a list of IPv4 or IPv6 networks or addresses, as PostgreSQL lets in, and not
        empty.
      - With V(choices) (list of strings) the value, or each element of a list, must be one of them.
      - With V(covers) (list of strings), names of groups, the networks of the value must have the C(ansible_host) of
        each host of these groups in them, where that is an address. The host itself is left out.
      - With V(no_example=true) the value must not be, or have in it, an address of RFC 5737, which are for examples.
      - With V(type=mac) the value must be the MAC address of a network card,
        see P(greenlab.cluster.mac_address#filter).
      - With V(type=address) the value must be an IPv4 address. V(inside) names a variable of the same host with the
        network that it must be of.
      - With V(type=networks) the value must be a list of IPv4 addresses and networks, none wider than /8.
      - With V(one_of), a list of names of variables, the value must be that of one of them.
      - With V(not_empty=true) the value must not be V(none), empty or white space.
      - With V(single_line=true) it must not have a line break or another control character in it.
      - With V(matches), a regular expression of Python, the whole value must match it.
      - V(remedy) is the end of errors about V(min), V(max), V(covers), V(matches), V(inside) and V(one_of).
      - With V(unique=true) no two hosts of the group may have the same value. Numbers are compared by value,
        MAC addresses in their normal form, other text without regard to case and to white space around it.
    type: dict
    required: true
  roles_path:
    description:
      - The folder with the roles whose specifications are used.
      - Without it, the roles of this collection.
    type: path
  unknown:
    description:
      - What to do about a variable that begins with the name of a role and C(_) but is no option of any role, no
        variable that O(groups) names, and not in O(known). The role with the longest name that fits is named.
        Also what to do about a variable with nearly the name of a known one.
      - V(error) reports it with the other problems, V(warn) prints a warning, V(ignore) does nothing.
      - Variables that begin with C(__) are always ignored.
    type: str
    choices: [error, warn, ignore]
    default: error
  flags:
    description:
      - Options of type V(bool) for which text such as V(true) is allowed, because they are given on the command line
        with C(-e name=true), and their roles read them with the filter C(bool).
      - For all others text is an error, because in a condition all text is true.
    type: list
    elements: str
    default: []
  known:
    description:
      - More variables that are no spelling mistakes, for example because a playbook reads them.
    type: list
    elements: str
    default: []
attributes:
  action:
    description: The work is done by an action plugin on the controller.
    support: full
  bypass_host_loop:
    description: Runs once for all hosts, with or without C(run_once).
    support: full
  check_mode:
    description: Does the same in check mode, it never changes anything.
    support: full
  connection:
    description: Needs no connection to a host.
    support: none
  diff_mode:
    description: Has nothing to show.
    support: none
notes:
  - A value made from facts, which are not known before a host is contacted, counts as set. It is not checked further,
    but it is an error for a variable with a rule in V(values).
  - With ansible-core 2.18 a template that returns digits passes V(type=int), because there it cannot return a number.
seealso:
  - plugin: greenlab.cluster.mac_address
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check the inventory before any host is contacted
  hosts: all
  gather_facts: false
  become: false
  tasks:
    - name: Check every host's variables
      greenlab.cluster.preflight:
        groups:
          jobs_db:
            min_hosts: 1
            max_hosts: 1
            roles: [jobs_db]
            required: [gmt_db_password]
          machines:
            read_by: [wake_host]
            roles: [gmt, gmt_client]
            required: [gmt_machine_id, gmt_machine_description]
            values:
              gmt_machine_id: {type: int, min: 1, max: 1024, unique: true}
              gmt_machine_description: {type: str, not_empty: true, single_line: true, unique: true}
              wake_target_mac: {type: mac, unique: true}
              ansible_host: {unique: true}
            exclusive:
              - [gmt_client_enabled, gmt_cron_enabled]
      run_once: true
"""

RETURN = r"""
checked:
  description: The number of hosts whose variables were all checked.
  returned: always
  type: int
  sample: 3
checked_essentials:
  description: The number of hosts of which only the essentials were checked, see O(groups).
  returned: always
  type: int
  sample: 0
msg:
  description: The number of problems. They are printed before it, one line each, sorted by host and variable.
    The same problem on many hosts is one line.
  returned: when something is wrong
  type: str
"""

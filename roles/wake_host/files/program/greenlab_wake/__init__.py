# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wakes measurement machines that have a job waiting. For Python 3.9 and newer, with its own library; see docs/wake.md.

cli      reads the configuration, starts a run
control  one run: who is woken, who is not and why, and whether it worked
listen   starts a run as soon as the jobs DB tells of a job
hand     an operator's wake of one machine
jobs     asks the API or the jobs DB what is waiting
windows  when a machine may be woken (sun: the sun's place in the sky)
drivers  how a machine is switched on (packet: wake-on-LAN); web: HTTP for all of them
probe    whether a machine answers
memory   what is kept between runs, the log of events, the metrics
alarm    tells people
simulate tells what ways of waking cost (model: the machines and the jobs; picture: the plot); runs nothing else of this
"""

# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands where upstream's provider stands; the stand-in measures nothing."""

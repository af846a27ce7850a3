# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sun is, to about 0.01 degrees between 1900 and 2100, without refraction.

Formulas: NOAA Global Monitoring Laboratory, "Solar Calculation Details" (the solar calculator's spreadsheet), which are
those of J. Meeus, Astronomical Algorithms, 2nd edition, 1998, chapters 22, 25 and 28. Angles are in degrees, east and
north are positive, time is Unix time.
"""

from __future__ import annotations

from math import asin, cos, degrees, radians, sin, tan

J2000 = 946728000  # 2000-01-01 12:00 UTC
SECONDS_A_CENTURY = 36525 * 86400


def declination_and_equation_of_time(at: float) -> tuple[float, float]:
    """Return the sun's apparent declination (degrees) and sundial time minus clock time (minutes)."""
    century = (at - J2000) / SECONDS_A_CENTURY
    longitude = radians((280.46646 + century * (36000.76983 + century * 0.0003032)) % 360)
    anomaly = radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    eccentricity = 0.016708634 - century * (0.000042037 + 0.0000001267 * century)
    centre = (
        sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + sin(3 * anomaly) * 0.000289
    )
    node = radians(125.04 - 1934.136 * century)
    apparent = longitude + radians(centre - 0.00569 - 0.00478 * sin(node))
    seconds = 21.448 - century * (46.815 + century * (0.00059 - century * 0.001813))
    obliquity = radians(23 + (26 + seconds / 60) / 60 + 0.00256 * cos(node))
    y = tan(obliquity / 2) ** 2
    equation = (
        y * sin(2 * longitude)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(2 * longitude)
        - 0.5 * y * y * sin(4 * longitude)
        - 1.25 * eccentricity**2 * sin(2 * anomaly)
    )
    return degrees(asin(sin(obliquity) * sin(apparent))), 4 * degrees(equation)


def hour_angle(at: float, longitude: float) -> float:
    """Return the angle since the sun's highest place, -180 to 180; 15 degrees are an hour."""
    _declination, equation = declination_and_equation_of_time(at)
    minutes = at % 86400 / 60 + equation + 4 * longitude
    return (minutes / 4) % 360 - 180


def elevation(at: float, latitude: float, longitude: float) -> float:
    """Return the height of the sun's centre over the horizon."""
    declination, _equation = declination_and_equation_of_time(at)
    angle, phi, delta = radians(hour_angle(at, longitude)), radians(latitude), radians(declination)
    return degrees(asin(sin(phi) * sin(delta) + cos(phi) * cos(delta) * cos(angle)))


def noon_elevation(at: float, latitude: float) -> float:
    """Return the greatest height of that day, which in polar night is negative."""
    declination, _equation = declination_and_equation_of_time(at)
    return 90 - abs(latitude - declination)

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

const char *gmt_lib_name(void);

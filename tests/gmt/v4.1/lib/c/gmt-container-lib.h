// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

const char *gmt_container_lib_name(void);

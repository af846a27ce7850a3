// SPDX-License-Identifier: GPL-3.0-or-later
#include "gmt-container-lib.h"

const char *gmt_container_lib_name(void)
{
    return "stand-in gmt-container-lib";
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "gmt-lib.h"

const char *gmt_lib_name(void)
{
    return "stand-in gmt-lib";
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Stand-in for a metric provider: something to compile and link. Prints "<time in us> <value>" and who it is.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "gmt-lib.h"

int main(void)
{
    fprintf(stderr, "%s, effective uid %d\n", gmt_lib_name(), (int)geteuid());
    printf("%lld 0\n", (long long)time(NULL) * 1000000);
    return 0;
}

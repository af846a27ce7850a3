// SPDX-License-Identifier: GPL-3.0-or-later
// Stand-in for a metric provider: something to compile. Prints one line "<time in us> <value>".
#include <stdio.h>
#include <time.h>

int main(void)
{
    printf("%lld 0\n", (long long)time(NULL) * 1000000);
    return 0;
}

# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a project of many C files and a Makefile: project.py FOLDER FILES.

Each file costs the compiler some time and hardly any to preprocess; no two are alike. What they compute is printed by
the program that they make, so that a wrong object is seen.
"""

import sys
from pathlib import Path

BODY = """
static double part{i}(double x, int n) {{
    double a[16], s = x + {i};
    for (int k = 0; k < 16; k++) a[k] = s * (k + {number});
    for (int k = 0; k < n; k++) {{
        switch ((k + {i}) % 5) {{
        case 0: for (int j = 0; j < 15; j++) a[j] = a[j] * 0.5 + a[j + 1] / (k + {i} + 1.0); break;
        case 1: for (int j = 1; j < 16; j++) a[j] -= a[j - 1] * 0.25; break;
        case 2: s += a[(k * {number}) % 16]; break;
        case 3: for (int j = 0; j < 16; j += 2) {{ double t = a[j]; a[j] = a[j + 1]; a[j + 1] = t; }} break;
        default: s = s * 0.75 + a[k % 16];
        }}
    }}
    return s;
}}
"""
MAKEFILE = """\
# Says nothing of a compiler: make takes cc.
OBJECTS = {objects}
CFLAGS = -O3 -funroll-loops
program: $(OBJECTS)
\t$(CC) -o $@ $(OBJECTS)
"""


def main() -> None:
    """Write the project."""
    folder, files = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True)
    for number in range(files):
        parts = range(number % 3 + 2)
        text = "#include <stdio.h>\n" + "".join(BODY.format(i=i, number=number + 1) for i in parts)
        total = " + ".join(f"part{i}(x, {10 + i})" for i in parts)
        (folder / f"f{number}.c").write_text(f"{text}\ndouble f{number}(double x) {{ return {total}; }}\n")
    calls = "\n".join(f"    sum += f{number}({number});" for number in range(files))
    declared = "\n".join(f"double f{number}(double);" for number in range(files))
    body = f'    double sum = 0;\n{calls}\n    printf("%.6e\\n", sum);\n'
    (folder / "main.c").write_text(f"#include <stdio.h>\n{declared}\nint main(void) {{\n{body}}}\n")
    objects = " ".join(["main.o", *(f"f{number}.o" for number in range(files))])
    (folder / "Makefile").write_text(MAKEFILE.format(objects=objects))


if __name__ == "__main__":
    main()

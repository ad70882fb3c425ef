/* The rules from C: rows into a .npy file, one command, and the answer out of another.

   cc -o rows rows.c && ./rows

   `varangian` is on the path, or VARANGIAN names it. An .npy file is a magic word, a line that tells
   of the array, padded with spaces to a multiple of 64 bytes, and the numbers. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 7, D = 5, F = 2 };

static int write_rows(const char *path, const float *rows, int n, int d) {
    char header[118];
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    int length = snprintf(header, sizeof header,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", n, d);
    memset(header + length, ' ', sizeof header - length);
    header[sizeof header - 1] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, file); /* version 1.0, 118 bytes of header */
    fwrite(header, 1, sizeof header, file);
    fwrite(rows, sizeof *rows, (size_t)n * d, file);
    return fclose(file) == 0;
}

static int read_vector(const char *path, float *out, int d) {
    unsigned char start[10];
    FILE *file = fopen(path, "rb");
    if (!file || fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6)) return 0;
    fseek(file, start[8] + 256 * start[9], SEEK_CUR);
    int whole = fread(out, sizeof *out, d, file) == (size_t)d;
    fclose(file);
    return whole;
}

int main(void) {
    float rows[N * D], out[D];
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++)
            /* The last two lie. */
            rows[i * D + k] = i < N - F ? k + 0.01f * i : -1000.0f;
    if (!write_rows("rows.npy", rows, N, D)) return perror("rows.npy"), 1;

    const char *program = getenv("VARANGIAN") ? getenv("VARANGIAN") : "varangian";
    char command[4096];
    snprintf(command, sizeof command,
        "'%s' aggregate --rule 'nnm | trimmed-mean' --f %d --input rows.npy --output out.npy",
        program, F);
    /* What is wrong with rows, rule or f is said on standard error. */
    if (system(command) != 0) return 1;

    if (!read_vector("out.npy", out, D)) return fprintf(stderr, "out.npy is no answer\n"), 1;
    for (int k = 0; k < D; k++) printf("%.3f\n", out[k]);
    return 0;
}

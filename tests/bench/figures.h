/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Samples, their middle and their spread, and how a benchmark tells them: rows of the
 * table, and raw numbers on lines that begin with "raw,".
 */
#ifndef MEMTREE_BENCH_FIGURES_H
#define MEMTREE_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLES_MAX 256
#define FIGURE_TEXT 64

struct samples {
	double values[SAMPLES_MAX];
	size_t count;
};

struct spread {
	double median, low, high; /* low and high: the quartiles */
};

/* Of the monotonic clock, and to wait for it. */
uint64_t figures_now_ns(void);
void figures_sleep_until(uint64_t ns);

/* Beyond SAMPLES_MAX nothing is added. */
void samples_add(struct samples *samples, double value);

/* Of at least one sample. */
struct spread samples_spread(const struct samples *samples);

/* One raw line per sample: raw,BENCH,SERIES,ROUND,VALUE. */
void samples_tell(const struct samples *samples, const char *bench, const char *series);

/* A row: what, its middle and quartiles in `unit`, and up to three more columns. */
struct row {
	const char *what, *unit;
	struct spread spread;
	int decimals;
	const char *against, *goal, *verdict; /* NULL: empty */
};
void row_tell(const struct row *row);
void head_tell(const char *what);

const char *figures_verdict(int met);

#endif /* MEMTREE_BENCH_FIGURES_H */

// SPDX-License-Identifier: GPL-2.0-only
#include "figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t figures_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void figures_sleep_until(uint64_t ns)
{
	const struct timespec then = {.tv_sec = (time_t)(ns / 1000000000),
				      .tv_nsec = (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
		;
}

void samples_add(struct samples *samples, double value)
{
	if (samples->count < SAMPLES_MAX)
		samples->values[samples->count++] = value;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Between the two neighbours, as most tables do it. */
static double quantile(const double *sorted, size_t count, double share)
{
	double place = share * (double)(count - 1);
	size_t below = (size_t)place;

	if (below + 1 >= count)
		return sorted[count - 1];
	return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

struct spread samples_spread(const struct samples *samples)
{
	struct samples sorted = *samples;

	qsort(sorted.values, sorted.count, sizeof(double), compare);
	return (struct spread){
		.median = quantile(sorted.values, sorted.count, 0.5),
		.low = quantile(sorted.values, sorted.count, 0.25),
		.high = quantile(sorted.values, sorted.count, 0.75),
	};
}

void samples_tell(const struct samples *samples, const char *bench, const char *series)
{
	for (size_t i = 0; i < samples->count; i++)
		printf("raw,%s,%s,%zu,%.2f\n", bench, series, i, samples->values[i]);
}

void row_tell(const struct row *row)
{
	char middle[FIGURE_TEXT], quartiles[FIGURE_TEXT];

	snprintf(middle, sizeof(middle), "%.*f %s", row->decimals, row->spread.median, row->unit);
	snprintf(quartiles, sizeof(quartiles), "%.*f .. %.*f", row->decimals, row->spread.low,
		 row->decimals, row->spread.high);
	if (row->spread.low >= row->spread.high)
		quartiles[0] = '\0';
	printf("%-38s %12s  %-18s  %-34s %-28s %s\n", row->what, middle, quartiles,
	       row->against ?: "", row->goal ?: "", row->verdict ?: "");
	fflush(stdout);
}

void head_tell(const char *what)
{
	printf("\n%-38s %12s  %-18s  %-34s %-28s %s\n", what, "median", "quartiles", "", "goal",
	       "");
}

const char *figures_verdict(int met)
{
	return met ? "met" : "MISSED";
}

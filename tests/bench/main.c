// SPDX-License-Identifier: GPL-2.0-only
/* Chooses a benchmark, or a part that one of them starts. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "shapes.h"
#include "talk.h"
#include "worker.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} parts[] = {
	{"faults", bench_faults},     /* [ROUNDS [THREADS]] */
	{"spawn", bench_spawn},	      /* [ROUNDS] */
	{"snapshot", bench_snapshot}, /* MEMTREE PROCESSES... */
	{"slots", bench_slots},	      /* */
	{"watch", bench_watch},	      /* [SLICES [SECONDS]] */
	{"bursts", bench_bursts},     /* */
	{"accuracy", bench_accuracy}, /* */
	{"crossing", bench_crossing}, /* MEMTREE */
	{"grower", grower_main},      /* BOARD */
	{"worker", worker_main},      /* SOCKET */
	{"sleepers", sleepers_main},  /* PROCESSES [PAGES] */
	{"burst", burst_main},	      /* BOARD PLACE */
	{"shape", shape_main},	      /* NAME BOARD */
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[1], parts[i].name))
			return parts[i].main(argc - 1, argv + 1);
	fprintf(stderr,
		"usage: memtree-bench faults|spawn|snapshot|slots|watch|bursts|accuracy|crossing "
		"[ARGUMENTS]\n");
	return EXIT_USAGE;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The live tests: real processes under real BPF. With --scene, one of those processes. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "scene.h"

static const struct {
	const char *name;
	int (*run)(void);
} groups[] = {
	{"memory", memory_tests},
	{"fork", fork_tests},
	{"lifecycle", lifecycle_tests},
	{"commands", command_tests},
};

/* All groups, or those that the arguments name. */
static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--scene"))
		return scene_main(argv[2]);
	if (geteuid() != 0) {
		puts("SKIP live: loading BPF needs root");
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (is_wanted(groups[i].name, argc, argv))
			failed += groups[i].run();
	return failed ? 1 : 0;
}

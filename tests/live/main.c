// SPDX-License-Identifier: GPL-2.0-only
/* The live tests: real processes under real BPF. With --scene, one of those processes. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"
#include "loader.h"
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

/* A container, say; in a machine of the matrix that is a failure like any other. */
static bool is_refused(void)
{
	const struct loader_options options = {.process_capacity = 16};
	struct loader *loader;
	int err = loader_start(&options, &loader);

	if (!err)
		loader_stop(loader);
	return err == -EPERM || err == -EOPNOTSUPP;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--scene"))
		return scene_main(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is_refused() && !getenv("MEMTREE_TEST_VM")) {
		puts("SKIP live: this machine refuses BPF to this user; the matrix runs them");
		return 0;
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (is_wanted(groups[i].name, argc, argv))
			failed += groups[i].run();
	return failed ? 1 : 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The live tests: real processes under real BPF. With --scene, one of those processes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "scene.h"

int main(int argc, char **argv)
{
	static int (*const groups[])(void) = {memory_tests, fork_tests, lifecycle_tests,
					      command_tests};
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--scene"))
		return scene_main(argv[2]);
	if (geteuid() != 0) {
		puts("SKIP live: loading BPF needs root");
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		failed += groups[i]();
	return failed ? 1 : 0;
}

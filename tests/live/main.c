// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live tests: real processes under real BPF. With --scene, --eat or
 * --host, one of those processes.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eater.h"
#include "fixture.h"
#include "groups.h"
#include "host.h"
#include "loader.h"
#include "scene.h"

static const struct {
	const char *name;
	int (*run)(void);
	bool shares; /* the fixture, with those beside it */
} groups[] = {
	{"memory", memory_tests, true},
	{"fork", fork_tests, true},
	{"lifecycle", lifecycle_tests, true},
	{"figures", figure_tests, true},
	{"cgroups", cgroup_tests, true},
	{"adopt", adopt_tests, true},
	{"compare", compare_tests, true},
	{"escapes", escape_tests, true},
	{"explain", explain_tests, true},
	{"killing", killing_tests, true},
	{"one", one_tests, true},
	{"losses", losses_tests, false},
	{"races", race_tests, false},
	{"manage", manage_tests, false},
	{"opens", opens_tests, false},
	{"commands", command_tests, false},
	{"commands_alone", command_alone_tests, false},
	{"compare_ends", compare_ends_tests, false},
	{"boxed", boxed_tests, false},
	{"limits", limits_tests, false},
	{"limits_spikes", limits_spikes_tests, false},
	{"limits_alone", limits_alone_tests, false},
	{"monitor", monitor_tests, false},
	{"events", events_tests, false},
	{"readers", readers_tests, false},
	{"protocol", protocol_tests, false},
	{"protocol_clients", protocol_client_tests, false},
	{"confirm", confirm_tests, false},
	{"hooks", hooks_tests, false},
	{"daemon", daemon_tests, false},
	{"daemon_kills", daemon_kills_tests, false},
	{"daemon_upgrade", daemon_upgrade_tests, false},
	{"doctor", doctor_tests, false},
};

/* All groups, or those that the arguments name; of their tests those that match $TEST. */
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
	if (argc > 2 && !strcmp(argv[1], "--eat"))
		return eater_main(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "--host"))
		return host_main(argv[2], argv[3]);
	cmocka_set_test_filter(getenv("TEST"));
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!getenv("MEMTREE_TEST_VM") && is_refused()) {
		puts("SKIP live: this machine refuses BPF to this user; the matrix runs them");
		return 0;
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!groups[i].shares)
			fixture_release();
		if (is_wanted(groups[i].name, argc, argv))
			failed += groups[i].run();
	}
	fixture_release();
	return failed ? 1 : 0;
}

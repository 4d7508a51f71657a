// SPDX-License-Identifier: GPL-2.0-only
/* The cgroup of a tree: in cgroups that the test makes, as the kernel's /proc shows them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box.h"
#include "fixture.h"
#include "groups.h"

#define INITIAL_NAMESPACE 4026531835UL /* PROC_CGROUP_INIT_INO */

/* Two folders, one in the other, and where the scenes came from. */
static struct {
	char outer[256], inner[300];
	bool v1;
} made;

static int cgroups_open(void **state)
{
	char folder[128];
	struct stat own;

	memset(&made, 0, sizeof(made));
	if (tree_open(state))
		return -1;
	if (stat("/proc/self/ns/cgroup", &own) || own.st_ino != INITIAL_NAMESPACE ||
	    !hierarchy_find(folder, &made.v1))
		return 0;
	snprintf(made.outer, sizeof(made.outer), "%s/memtree-test-%d", folder, getpid());
	snprintf(made.inner, sizeof(made.inner), "%s/in ner \033[2J\xff", made.outer);
	if (mkdir(made.outer, 0755) || mkdir(made.inner, 0755))
		made.outer[0] = '\0';
	return 0;
}

/* A cgroup is free some time after its last process was reaped. */
static void folder_remove(const char *folder)
{
	for (int i = 0; i < 5000 && rmdir(folder) && errno == EBUSY; i++)
		usleep(2000);
}

static int cgroups_close(void **state)
{
	int failed = tree_close(state);

	folder_remove(made.inner);
	folder_remove(made.outer);
	return failed;
}

static void process_move(pid_t pid, const char *folder)
{
	char name[320];
	FILE *file;

	snprintf(name, sizeof(name), "%s/cgroup.procs", folder);
	file = fopen(name, "we");
	assert_non_null(file);
	fprintf(file, "%d\n", pid);
	assert_int_equal(fclose(file), 0);
}

/* As the kernel tells it of a process. */
static void proc_cgroup(pid_t pid, char ret_path[512])
{
	char name[64], line[640];
	FILE *file;

	ret_path[0] = '\0';
	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	file = fopen(name, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':') + 1, *path = strchr(controllers, ':') + 1;

		path[strcspn(path, "\n")] = '\0';
		path[-1] = '\0';
		if (made.v1 ? strstr(controllers, "memory") != NULL : !*controllers)
			snprintf(ret_path, 512, "%.511s", path);
	}
	fclose(file);
}

static void assert_cgroup(struct fixture *fixture, const char *expected)
{
	struct reading reading;
	const struct tree *tree;

	reading_take(fixture, &reading);
	tree = reading_tree(&reading, fixture->tree);
	if (expected) {
		assert_non_null(tree->cgroup);
		assert_string_equal(tree->cgroup, expected);
	} else {
		assert_null(tree->cgroup);
	}
	reading_free(&reading);
}

static void assert_cgroup_of(struct fixture *fixture, pid_t pid)
{
	char expected[512];

	proc_cgroup(pid, expected);
	assert_int_equal(expected[0], '/');
	assert_cgroup(fixture, expected);
}

static void play_heir(struct board *board)
{
	mark(board);
	if (!spawn(board, 0)) {
		park(board, 0);
		_exit(0);
	}
	mark(board);
	mark(board);
}

static void test_a_cgroup_is_the_roots_then_the_oldest_members(void **state)
{
	struct fixture *fixture = *state;
	pid_t heir;

	if (!made.outer[0])
		skip_because("no cgroup can be made here");
	scene_start(fixture, "heir");
	assert_cgroup_of(fixture, scene_root(fixture));
	scene_next(fixture);
	scene_next(fixture);
	heir = fixture->board->pids[0];
	assert_cgroup_of(fixture, scene_root(fixture));
	process_move(scene_root(fixture), made.inner);
	assert_cgroup_of(fixture, scene_root(fixture));
	assert_cgroup(fixture, strstr(made.inner, "/memtree-test"));
	process_move(heir, made.outer);
	assert_cgroup(fixture, strstr(made.inner, "/memtree-test"));
	scene_next(fixture);
	scene_end(fixture);
	assert_cgroup(fixture, strstr(made.outer, "/memtree-test"));
	gate_open(fixture, 0);
	await_processes(fixture, 0);
	assert_cgroup(fixture, NULL);
}

const struct scene cgroup_scenes[] = {
	{"heir", play_heir},
	{NULL, NULL},
};

int cgroup_tests(void)
{
	const struct CMUnitTest cgroups[] = {
		cmocka_unit_test_setup_teardown(test_a_cgroup_is_the_roots_then_the_oldest_members,
						cgroups_open, cgroups_close),
	};

	return cmocka_run_group_tests_name("cgroups", cgroups, fixture_share, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* memtree explain: each number against what the scenes did, and what cannot be read. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"
#include "shell.h"
#include "table.h"

/* --- processes -------------------------------------------------------------------------- */

#define ROOT_PAGES (20 * MIB_PAGES)
#define CHILD_PAGES (12 * MIB_PAGES)

static void play_sized(struct board *board)
{
	char *memory = reserve(ROOT_PAGES + CHILD_PAGES);

	mark(board);
	touch(memory, ROOT_PAGES);
	mark(board);
	if (!spawn(board, 0)) {
		touch(memory + ROOT_PAGES * PAGE, CHILD_PAGES);
		sem_post(&board->reached);
		park(board, 0);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
}

static void test_known_sizes(void **state)
{
	struct fixture *fixture = *state;
	json_t *before, *after;
	struct tree tree;

	begin(fixture, "sized");
	before = explain(fixture, "--pss");
	scene_next(fixture);
	after = explain(fixture, "--pss");
	assert_int_equal(value(after, "charged") - value(before, "charged"), bytes_of(ROOT_PAGES));
	assert_int_equal(value(after, "rss") - value(before, "rss"), bytes_of(ROOT_PAGES));
	assert_int_equal(value(after, "yarn_smaps_3") - value(before, "yarn_smaps_3"),
			 bytes_of(ROOT_PAGES));
	assert_near(value(after, "pss") - value(before, "pss"), bytes_of(ROOT_PAGES), MIB);
	assert_near(value(after, "uss") - value(before, "uss"), bytes_of(ROOT_PAGES), MIB);
	assert_near(value(after, "top_res"), value(after, "rss"), slack(fixture));
	assert_near(value(after, "rss_sum"), value(after, "rss"), slack(fixture));
	assert_near(value(after, "live"), value(after, "charged"), tree_now(fixture).error_bound);
	assert_true(value(after, "top_virt") > value(after, "top_res"));
	assert_true(value(after, "top_shr") < value(after, "top_res"));
	assert_int_equal(value(after, "folk_res"), value(after, "top_res"));
	assert_true(integer(json_object_get(after, "cost"), "smaps_processes") == 1);
	assert_true(integer(json_object_get(after, "cost"), "procfs_calls") > 0);
	json_decref(before);
	json_decref(after);
	tree = tree_now(fixture);
	scene_next(fixture);
	mark_await(fixture);
	await_sleep(fixture->board->pids[0]);
	after = explain(fixture, "--pss");
	/* What the child shares copy-on-write counts in both, but once in PSS. */
	assert_true(value(after, "charged") >= 2 * tree.bytes[MT_ANON] + bytes_of(CHILD_PAGES));
	assert_true(value(after, "pss") < tree.charged + bytes_of(CHILD_PAGES) + 2 * MIB);
	assert_near(value(after, "res_sum"), value(after, "rss"), slack(fixture));
	assert_true(value(after, "folk_res") < value(after, "res_sum"));
	assert_true(verdict_has(after, "1 other processes"));
	json_decref(after);
	gate_open(fixture, 0);
	scene_end(fixture);
}

static struct board *sharers_board;

static int sharer(void *argument)
{
	(void)argument;
	sem_post(&sharers_board->reached);
	while (sem_wait(&sharers_board->gates[0]))
		;
	_exit(0);
}

static void play_sharer(struct board *board)
{
	char *memory = reserve(ROOT_PAGES), *stack = reserve(32);

	touch(memory, ROOT_PAGES);
	touch(stack, 32);
	sharers_board = board;
	mark(board);
	board->pids[0] = clone(sharer, stack + 32 * PAGE, CLONE_VM | SIGCHLD, NULL);
	require(board->pids[0] > 0, "clone");
	mark(board);
	reap(board->pids[0]);
}

static void test_a_shared_address_space_counts_twice_in_sums(void **state)
{
	struct fixture *fixture = *state;
	json_t *before, *after;

	begin(fixture, "sharer");
	before = explain(fixture, "");
	scene_next(fixture);
	mark_await(fixture);
	await_sleep(fixture->board->pids[0]);
	after = explain(fixture, "--pss");
	assert_near(value(after, "charged"), value(before, "charged"), 64 * (int64_t)PAGE);
	assert_near(value(after, "rss_sum"), 2 * value(after, "charged"), 2 * slack(fixture));
	assert_near(value(after, "res_sum"), 2 * value(after, "charged"), 2 * slack(fixture));
	assert_note(after, "res_sum", "share an address space");
	assert_true(value(after, "pss") <= value(after, "charged"));
	assert_true(verdict_has(after, "in another one's address space"));
	json_decref(before);
	json_decref(after);
	gate_open(fixture, 0);
	scene_end(fixture);
}

static void *stay(void *argument)
{
	struct board *board = argument;

	touch(reserve(ROOT_PAGES), ROOT_PAGES);
	sem_post(&board->reached);
	park(board, 0);
	_exit(0);
}

static void play_no_leader(struct board *board)
{
	pthread_t thread;

	mark(board);
	require(!pthread_create(&thread, NULL, stay, board), "pthread_create");
	syscall(SYS_exit, 0); /* pthread_exit() loads libgcc_s */
}

static void test_a_main_thread_that_has_exited(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	begin(fixture, "no_leader");
	scene_next(fixture);
	for (time_t end = 0;
	     process_now(fixture, scene_root(fixture)).state != 'Z' && poll_on(&end);)
		;
	root = explain(fixture, "--pss");
	assert_true(value(root, "charged") >= bytes_of(ROOT_PAGES));
	assert_near(value(root, "top_res"), value(root, "charged"), slack(fixture));
	assert_note(root, "top_res", "top shows 0");
	assert_int_equal(value(root, "rss_sum"), 0);
	assert_note(root, "rss_sum", "are missed");
	assert_true(value(root, "uss") >= bytes_of(ROOT_PAGES));
	json_decref(root);
	gate_open(fixture, 0);
	scene_end(fixture);
}

#define THREADS 100

static void *touch_some(void *argument)
{
	struct board *board = argument;

	touch(reserve(60), 60);
	count_up(board, 0, 1);
	park(board, 0);
	return NULL;
}

static void play_hundred_threads(struct board *board)
{
	pthread_t threads[THREADS];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	for (int i = 0; i < THREADS; i++) {
		require(!pthread_create(&threads[i], &small, touch_some, board), "pthread_create");
		while (count_up(board, 0, 0) <= i)
			usleep(1000);
	}
	mark(board);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Before 6.2 each keeps up to 64 pages back, and /proc does not see them. */
static void test_what_a_hundred_threads_keep_back(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	begin(fixture, "hundred_threads");
	root = explain(fixture, "--pss");
	assert_true(value(root, "charged") >= bytes_of(THREADS * 60));
	assert_int_equal(value(root, "charged"), tree_now(fixture).charged);
	assert_near(value(root, "rss_sum"), value(root, "charged"), slack(fixture));
	assert_true(value(root, "yarn_smaps_3") >= bytes_of(THREADS * 60));
	if (tree_now(fixture).error_bound >= THREADS * 64 * (int64_t)PAGE)
		assert_note(root, "rss_sum", "less than charged");
	json_decref(root);
	for (int i = 0; i < THREADS; i++)
		gate_open(fixture, 0);
	scene_end(fixture);
}

static void play_left_behind(struct board *board)
{
	if (!spawn(board, 0)) {
		if (!spawn(board, 1)) {
			touch(reserve(CHILD_PAGES), CHILD_PAGES);
			sem_post(&board->reached);
			park(board, 0);
			_exit(0);
		}
		_exit(0); /* a zombie, its child an orphan */
	}
	mark(board);
	reap(board->pids[0]);
}

static void test_zombies_and_orphans(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	begin(fixture, "left_behind");
	mark_await(fixture);
	await_zombies(fixture, 1);
	await_sleep(fixture->board->pids[1]);
	root = explain(fixture, "");
	assert_int_equal(integer(the_tree(root), "orphans"), 1);
	assert_int_equal(integer(the_tree(root), "zombies"), 1);
	assert_near(value(root, "res_sum"), value(root, "charged"), slack(fixture));
	assert_true(value(root, "charged") - value(root, "top_res") >= bytes_of(CHILD_PAGES));
	assert_note(root, "rss_sum", "YARN misses the orphans");
	assert_true(verdict_has(root, "1 orphans"));
	json_decref(root);
	gate_open(fixture, 0);
	scene_end(fixture);
}

static void play_of_nobody(struct board *board)
{
	if (!spawn(board, 0)) {
		require(!setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534),
			"setresuid");
		touch(reserve(CHILD_PAGES), CHILD_PAGES);
		sem_post(&board->reached);
		park(board, 0);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
}

static bool smaps_can_be_read(pid_t pid)
{
	char path[64], byte;
	bool readable;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	readable = fd >= 0 && read(fd, &byte, 1) == 1;
	if (fd >= 0)
		close(fd);
	return readable;
}

static void test_processes_of_another_user(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	begin(fixture, "of_nobody");
	mark_await(fixture);
	await_sleep(fixture->board->pids[0]);
	root = explain(fixture, "--pss");
	assert_near(value(root, "res_sum"), value(root, "charged"), slack(fixture));
	if (smaps_can_be_read(fixture->board->pids[0]))
		assert_true(value(root, "uss") >= bytes_of(CHILD_PAGES));
	else
		assert_unknown(root, "uss", "1 of 2 processes read");
	json_decref(root);
	gate_open(fixture, 0);
	scene_end(fixture);
}

/* --- what cannot be read ---------------------------------------------------------------- */

static void play_idle(struct board *board)
{
	mark(board);
}

static void test_smaps_have_a_deadline(void **state)
{
	struct fixture *fixture = *state;
	json_t *root;

	begin(fixture, "idle");
	root = explain(fixture, "--pss-timeout 0");
	assert_unknown(root, "pss", "0 of 1 processes read");
	assert_unknown(root, "yarn_smaps_2", "not in time");
	assert_near(value(root, "res_sum"), value(root, "charged"), slack(fixture));
	json_decref(root);
	root = explain(fixture, "");
	assert_unknown(root, "uss", "--pss");
	json_decref(root);
	scene_end(fixture);
}

static void hide_cgroups(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    umount2("/sys/fs/cgroup", MNT_DETACH))
		_exit(253);
}

static void cover_cgroups(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL))
		_exit(253);
}

static void leave_cgroup_namespace(void)
{
	if (unshare(CLONE_NEWCGROUP))
		_exit(253);
}

static void test_no_cgroup_file_system(void **state)
{
	static const struct {
		prepare_fn prepare;
		const char *reason;
	} cases[] = {
		{hide_cgroups, "no cgroup file system"},
		{cover_cgroups, ""},
		{leave_cgroup_namespace, "cgroup namespace"},
	};
	struct fixture *fixture = *state;
	char line[64];
	struct tree tree;

	begin(fixture, "idle");
	tree = tree_now(fixture);
	snprintf(line, sizeof(line), "explain --json #%u.%u", tree.tracker_id, tree.id);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *root;

		run_prepared(cases[i].prepare, line);
		assert_int_equal(outcome.status, 0);
		root = document();
		assert_unknown(root, "usage", cases[i].reason);
		assert_unknown(root, "limit", cases[i].reason);
		assert_unknown(root, "docker_stats", cases[i].reason);
		assert_near(value(root, "res_sum"), value(root, "charged"), slack(fixture));
		assert_false(verdict_has(root, "Prometheus"));
		json_decref(root);
	}
	scene_end(fixture);
}

/* Its child goes on; in a pid namespace of its own, with a /proc of that. */
static void enter_pid_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWNS | CLONE_NEWPID) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(253);
	pid = fork();
	if (pid) {
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 252);
	}
	if (mount("proc", "/proc", "proc", 0, NULL))
		_exit(253);
}

static void test_in_another_pid_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;
	char line[64];
	json_t *root;

	begin(fixture, "idle");
	tree = tree_now(fixture);
	snprintf(line, sizeof(line), "explain --json --pss #%u.%u", tree.tracker_id, tree.id);
	run_prepared(enter_pid_namespace, line);
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(value(root, "charged"), tree.charged);
	assert_unknown(root, "top_res", "pid namespace");
	assert_unknown(root, "rss_sum", "pid namespace");
	assert_unknown(root, "pss", "pid namespace");
	assert_unknown(root, "strangers", "pid namespace");
	json_decref(root);
	scene_end(fixture);
}

/* The reading waits in a file of the only member, until the test lets go of it. */
static char held_file[64], held_by[64];

static void hold_reading(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(held_by, held_file, NULL, MS_BIND, NULL))
		_exit(253);
}

static void test_a_tree_that_ends_meanwhile(void **state)
{
	struct fixture *fixture = *state;
	struct started started;
	struct tree tree;
	char line[64];
	int fd;

	begin(fixture, "idle");
	tree = tree_now(fixture);
	snprintf(line, sizeof(line), "explain #%u.%u", tree.tracker_id, tree.id);
	snprintf(held_file, sizeof(held_file), "/proc/%d/stat", scene_root(fixture));
	snprintf(held_by, sizeof(held_by), "/tmp/memtree-test-held-%d", getpid());
	assert_int_equal(mkfifo(held_by, 0600), 0);
	started = start(hold_reading, line);
	fd = reader_await(held_by);
	scene_end(fixture);
	for (time_t end = 0; tree_now(fixture).holds && poll_on(&end);)
		;
	close(fd);
	finish(started);
	unlink(held_by);
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "has ended"));
	assert_string_equal(outcome.out, "");
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"explain", 2},
		{"explain one two", 2},
		{"explain --pss-timeout 3 one", 2},
		{"explain --pss-timeout -1s one", 2},
		{"explain --bogus one", 2},
		{"explain no.such.tree", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(cases[i].line);
		assert_int_equal(outcome.status, cases[i].status);
		assert_one_line(outcome.err);
		assert_string_equal(outcome.out, "");
	}
}

const struct scene explain_scenes[] = {
	{"sized", play_sized},
	{"sharer", play_sharer},
	{"no_leader", play_no_leader},
	{"hundred_threads", play_hundred_threads},
	{"left_behind", play_left_behind},
	{"of_nobody", play_of_nobody},
	{"idle", play_idle},
	{NULL, NULL},
};

int explain_tests(void)
{
	const struct CMUnitTest of_trees[] = {
		tree_test(test_known_sizes),
		tree_test(test_a_shared_address_space_counts_twice_in_sums),
		tree_test(test_a_main_thread_that_has_exited),
		tree_test(test_what_a_hundred_threads_keep_back),
		tree_test(test_zombies_and_orphans),
		tree_test(test_processes_of_another_user),
		tree_test(test_smaps_have_a_deadline),
		tree_test(test_no_cgroup_file_system),
		tree_test(test_in_another_pid_namespace),
		tree_test(test_a_tree_that_ends_meanwhile),
		cmocka_unit_test(test_what_is_refused),
	};

	return cmocka_run_group_tests_name("explain", of_trees, fixture_share, NULL);
}

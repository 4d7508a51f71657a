// SPDX-License-Identifier: GPL-2.0-only
/* memtree compare: who escapes the baseline, who is no member, and whose pids are told. */
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"
#include "said.h"
#include "smaps.h"

/* --- who escapes procfs' tree ---------------------------------------------------------------- */

/* A child that makes a grandchild, place `place`, and dies; the grandchild runs `before` and
 * parks. Returns when the grandchild is an orphan. */
static void orphan_make(struct board *board, int place, void (*before)(struct board *board))
{
	pid_t parent = getpid(), child = fork();

	require(child >= 0, "fork");
	if (!child) {
		pid_t middle = getpid();

		if (!spawn(board, place)) {
			alarm(600); /* it may be nobody's to end */
			while (getppid() == middle)
				usleep(1000);
			/* The first of a pid namespace is its reaper. */
			require(getppid() != parent || parent == 1, "no orphan");
			if (before)
				before(board);
			touch(reserve(700), 700);
			sem_post(&board->gates[15]);
			park(board, place);
			_exit(0);
		}
		_exit(0);
	}
	reap(child);
	park(board, 15);
}

static void take_session(struct board *board)
{
	(void)board;
	require(setsid() >= 0, "setsid");
}

static void play_reaped_elsewhere(struct board *board)
{
	orphan_make(board, 0, NULL);
	mark(board);
	sem_post(&board->gates[0]);
}

/* The test is the reaper of its scenes, as containerd's shim is of a container. */
static void test_an_orphan_of_another_reaper_escapes(void **state)
{
	struct fixture *fixture = *state;
	struct process orphan;

	scene_start(fixture, "reaped_elsewhere");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	compare("reaped_elsewhere", "escaped inherited");
	orphan = process_now(fixture, fixture->board->pids[0]);
	assert_missed("missed_by_procfs", fixture->board->pids[0], "reaper");
	assert_int_equal(cause_bytes("escaped"), bytes_rss(orphan.bytes));
	assert_int_equal(cause_processes("escaped"), 1);
	assert_int_equal(map_said("processes"), 2);
	assert_int_equal(procfs_said("processes"), 1);
	scene_end(fixture);
}

/* Process 1 takes the orphans of these; who makes one keeps to its own session. */
static void play_orphans_of_init(struct board *board)
{
	take_session(board);
	orphan_make(board, 0, NULL);
	orphan_make(board, 1, take_session);
	mark(board);
	sem_post(&board->gates[0]);
	sem_post(&board->gates[1]);
}

static void reaper_switch(int on)
{
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, on), 0);
}

static void test_an_orphan_with_a_session_of_its_own_escapes(void **state)
{
	struct fixture *fixture = *state;

	reaper_switch(0);
	scene_start(fixture, "orphans_of_init");
	scene_next(fixture);
	reaper_switch(1);
	if (process_now(fixture, fixture->board->pids[0]).ppid != 1) {
		sem_post(&fixture->board->go);
		skip_because("orphans here are adopted by another reaper than process 1");
	}
	await_sleep(fixture->board->pids[0]);
	await_sleep(fixture->board->pids[1]);
	compare("orphans_of_init", "escaped inherited");
	/* YARN finds the one in the root's session again. */
	assert_null(missed_said("missed_by_procfs", fixture->board->pids[0]));
	assert_missed("missed_by_procfs", fixture->board->pids[1], "session");
	assert_int_equal(map_said("processes"), 3);
	assert_int_equal(procfs_said("processes"), 2);
	scene_end(fixture);
}

static void orphan_with_child(struct board *board)
{
	take_session(board);
	if (!spawn(board, 2)) {
		park(board, 2);
		_exit(0);
	}
}

static void play_dynasty(struct board *board)
{
	orphan_make(board, 0, orphan_with_child);
	mark(board);
	sem_post(&board->gates[2]);
	sem_post(&board->gates[0]);
}

static void test_the_children_of_who_escapes_escape(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "dynasty");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	await_sleep(fixture->board->pids[2]);
	compare("dynasty", "escaped inherited");
	assert_missed("missed_by_procfs", fixture->board->pids[0], "reaper");
	assert_missed("missed_by_procfs", fixture->board->pids[2], "below");
	assert_int_equal(cause_processes("escaped"), 2);
	scene_end(fixture);
}

static void play_leave_behind(struct board *board)
{
	if (!spawn(board, 0)) {
		touch(reserve(900), 900);
		mark(board);
		park(board, 0);
		_exit(0);
	}
	sem_wait(&board->gates[1]);
}

static void test_a_tree_without_its_root_is_empty(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "leave_behind");
	scene_next(fixture);
	gate_open(fixture, 1);
	scene_reap(fixture);
	await_sleep(fixture->board->pids[0]);
	await_processes(fixture, 1);
	run("compare leave_behind --json");
	/* Nobody was there to be compared with. */
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	json_decref(said);
	said = document();
	assert_sums(tree_said());
	assert_explained();
	assert_missed("missed_by_procfs", fixture->board->pids[0], "root_gone");
	assert_int_equal(procfs_said("rss"), 0);
	assert_int_equal(procfs_said("processes"), 0);
	assert_int_equal(cause_bytes("escaped"), map_said("rss"));
	assert_true(map_said("anon") >= bytes_of(900));
	sem_post(&fixture->board->go);
	gate_open(fixture, 0);
}

static void play_misnamed(struct board *board)
{
	if (!spawn(board, 0)) {
		prctl(PR_SET_NAME, "a) R 1\n1 (b");
		if (!spawn(board, 1)) {
			prctl(PR_SET_NAME, "plain");
			park(board, 1);
			_exit(0);
		}
		park(board, 0);
		_exit(0);
	}
	mark(board);
	sem_post(&board->gates[1]);
	sem_post(&board->gates[0]);
	reap(board->pids[0]);
}

static void test_a_name_hides_a_process_and_its_children(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "misnamed");
	scene_next(fixture);
	for (time_t end = 0; !fixture->board->pids[1] && poll_on(&end);)
		;
	await_sleep(fixture->board->pids[0]);
	await_sleep(fixture->board->pids[1]);
	compare("misnamed", "escaped inherited");
	assert_missed("missed_by_procfs", fixture->board->pids[0], "unreadable");
	assert_missed("missed_by_procfs", fixture->board->pids[1], "below");
	run("compare misnamed");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "[a) R 1\\n1 (b]"));
	scene_end(fixture);
}

static void play_zombie_kept(struct board *board)
{
	if (!spawn(board, 0))
		_exit(0);
	mark(board);
	reap(board->pids[0]);
}

static void test_a_zombie_makes_no_difference(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "zombie_kept");
	scene_next(fixture);
	await_zombies(fixture, 1);
	compare("zombie_kept", "");
	assert_int_equal(map_said("processes"), 1);
	assert_int_equal(map_said("zombies"), 1);
	assert_int_equal(procfs_said("processes"), 2);
	assert_int_equal(json_array_size(json_object_get(tree_said(), "missed_by_map")), 0);
	assert_int_equal(json_array_size(json_object_get(tree_said(), "missed_by_procfs")), 0);
	scene_end(fixture);
}

static void play_other_user(struct board *board)
{
	if (!spawn(board, 0)) {
		require(!setgid(65534) && !setuid(65534), "setuid");
		touch(reserve(500), 500);
		park(board, 0);
		_exit(0);
	}
	mark(board);
	sem_post(&board->gates[0]);
	reap(board->pids[0]);
}

static void test_a_process_of_another_user(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "other_user");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	compare("other_user", "inherited");
	assert_int_equal(integer(tree_said(), "compared"), 2);
	scene_end(fixture);
}

/* --- pid namespaces ------------------------------------------------------------------------ */

static void play_own_pids(struct board *board)
{
	long child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0L);

	require(child >= 0, "clone");
	if (!child) {
		orphan_make(board, 0, NULL);
		mark(board);
		sem_post(&board->gates[0]);
		_exit(0);
	}
	reap((pid_t)child);
}

/* The orphan's new parent is the namespace's own process 1, which is a member. */
static void test_an_orphan_in_a_pid_namespace_stays(void **state)
{
	struct fixture *fixture = *state;
	struct reading reading;

	scene_start(fixture, "own_pids");
	scene_next(fixture);
	await_processes(fixture, 3);
	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.model.process_count; i++)
		if (reading.model.processes[i].tree == fixture->tree)
			await_sleep((pid_t)reading.model.processes[i].tgid);
	reading_free(&reading);
	compare("own_pids", "inherited");
	assert_int_equal(integer(tree_said(), "compared"), 3);
	assert_int_equal(procfs_said("processes"), 3);
	scene_end(fixture);
}

static void enter_pid_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(253);
	pid = fork();
	if (!pid && mount("proc", "/proc", "proc", 0, NULL))
		_exit(253);
	if (!pid)
		return;
	while (waitpid(pid, &status, 0) != pid)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 252);
}

static void test_from_inside_a_pid_namespace_it_is_refused(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "rest");
	scene_next(fixture);
	run_prepared(enter_pid_namespace, "compare rest");
	assert_int_equal(outcome.status, 4);
	assert_non_null(strstr(outcome.err, "pid namespace"));
	assert_string_equal(outcome.out, "");
	scene_end(fixture);
}

/* --- who is no member ------------------------------------------------------------------------ */

/* Before it is tracked it has an orphan, in its session; later a child. */
static void play_early_orphan(struct board *board)
{
	take_session(board);
	orphan_make(board, 0, NULL);
	mark(board);
	sem_post(&board->gates[0]);
}

static void test_the_session_rule_finds_a_stranger(void **state)
{
	struct fixture *fixture = *state;

	reaper_switch(0);
	stranger_start(fixture, "early_orphan");
	scene_next(fixture);
	reaper_switch(1);
	stranger_adopt(fixture, "early_orphan");
	await_sleep(fixture->board->pids[0]);
	if (process_find(fixture, fixture->board->pids[0]).tree) {
		scene_end(fixture);
		skip_because("orphans here are adopted by a reaper inside the tree");
	}
	compare("early_orphan", "not_a_member");
	assert_missed("missed_by_map", fixture->board->pids[0], "stranger");
	assert_int_equal(cause_processes("not_a_member"), 1);
	assert_true(cause_bytes("not_a_member") < 0);
	assert_int_equal(procfs_said("processes"), 2);
	assert_int_equal(map_said("processes"), 1);
	scene_end(fixture);
}

const struct scene escape_scenes[] = {
	{"reaped_elsewhere", play_reaped_elsewhere},
	{"orphans_of_init", play_orphans_of_init},
	{"dynasty", play_dynasty},
	{"leave_behind", play_leave_behind},
	{"misnamed", play_misnamed},
	{"zombie_kept", play_zombie_kept},
	{"other_user", play_other_user},
	{"own_pids", play_own_pids},
	{"early_orphan", play_early_orphan},
	{NULL, NULL},
};

int escape_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_an_orphan_of_another_reaper_escapes),
		tree_test(test_an_orphan_with_a_session_of_its_own_escapes),
		tree_test(test_the_children_of_who_escapes_escape),
		tree_test(test_a_tree_without_its_root_is_empty),
		tree_test(test_a_name_hides_a_process_and_its_children),
		tree_test(test_a_zombie_makes_no_difference),
		tree_test(test_a_process_of_another_user),
		tree_test(test_an_orphan_in_a_pid_namespace_stays),
		tree_test(test_from_inside_a_pid_namespace_it_is_refused),
		tree_test(test_the_session_rule_finds_a_stranger),
	};
	int failed = cmocka_run_group_tests_name("escapes", tests, fixture_share, NULL);

	json_decref(said);
	said = NULL;
	return failed;
}

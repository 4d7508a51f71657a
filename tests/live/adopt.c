// SPDX-License-Identifier: GPL-2.0-only
/* Trees that already run: adopted whole, whatever they do meanwhile, and forgotten again. */
#include <dirent.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "census.h"
#include "fixture.h"
#include "forget.h"
#include "groups.h"

/* --- a family of all kinds ---------------------------------------------------------- */

enum { MAIN, CHILD, GRANDCHILD, THREADED, HEADLESS, SHARER, VFORKER, VFORKED };

static void rest(struct board *board, int place)
{
	sem_post(&board->reached);
	park(board, place);
}

/* Two rests: the test looks at each. */
static void grow_and_rest(struct board *board, int place, size_t first, size_t second)
{
	touch(reserve(first), first);
	rest(board, place);
	touch(reserve(second), second);
	rest(board, place);
}

static _Noreturn void live_as(struct board *board, int place, size_t first, size_t second)
{
	grow_and_rest(board, place, first, second);
	_exit(0);
}

static void *thread_lives(void *board)
{
	live_as(board, HEADLESS, 300, 30);
	return NULL;
}

static void *thread_waits(void *board)
{
	touch(reserve(64), 64);
	sem_post(&((struct board *)board)->reached);
	for (;;)
		pause();
	return NULL;
}

static void play_threaded(struct board *board)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		require(!pthread_create(&thread, NULL, thread_waits, board), "pthread_create");
	live_as(board, THREADED, 10, 20);
}

static void play_headless(struct board *board)
{
	pthread_t thread;

	require(!pthread_create(&thread, NULL, thread_lives, board), "pthread_create");
	syscall(SYS_exit, 0);
}

static void play_child(struct board *board)
{
	if (!spawn(board, GRANDCHILD))
		live_as(board, GRANDCHILD, 50, 70);
	grow_and_rest(board, CHILD, 100, 40);
	_exit(0);
}

static int sharer(void *board)
{
	rest(board, SHARER);
	rest(board, SHARER);
	_exit(0);
}

static void play_vforker(struct board *board)
{
	pid_t pid = vfork();

	if (!pid) {
		board->pids[VFORKED] = (pid_t)syscall(SYS_getpid);
		rest(board, VFORKED);
		rest(board, VFORKED);
		_exit(0);
	}
	_exit(0);
}

static void play_family(struct board *board)
{
	char *stack = reserve(16);

	touch(reserve(500), 500);
	if (!spawn(board, CHILD))
		play_child(board);
	if (!spawn(board, THREADED))
		play_threaded(board);
	if (!spawn(board, HEADLESS))
		play_headless(board);
	if (!spawn(board, VFORKER))
		play_vforker(board);
	board->pids[SHARER] = clone(sharer, stack + 16 * PAGE, CLONE_VM | SIGCHLD, board);
	require(board->pids[SHARER] > 0, "clone");
	mark(board); /* the family lives */
	touch(reserve(25), 25);
	mark(board); /* it has grown */
	while (wait(NULL) > 0)
		;
	mark(board); /* alone again */
}

/* Posts of the family at one rest: child, grandchild, threaded, headless, sharer, vforked. */
#define FAMILY_RESTS 6
static const int resting[] = {CHILD, GRANDCHILD, THREADED, HEADLESS, SHARER, VFORKED};

static void marks_await(struct fixture *fixture, int count)
{
	for (int i = 0; i < count; i++)
		mark_await(fixture);
}

static void family_await_sleep(struct fixture *fixture)
{
	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++)
		await_sleep(fixture->board->pids[resting[i]]);
}

static void assert_arguments_of(struct fixture *fixture, pid_t pid)
{
	struct process process = process_now(fixture, pid);
	struct mt_process record;
	char name[64], truth[MT_ARGS_SIZE];
	size_t length;
	FILE *file;

	assert_int_equal(
		snapshot_args(fixture->tracker, process.tgid, process.start_boot_ns, &record), 0);
	/* The family never exec'ed since its root did. */
	snprintf(name, sizeof(name), "/proc/%d/cmdline", fixture->launch.pid);
	file = fopen(name, "re");
	assert_non_null(file);
	length = fread(truth, 1, sizeof(truth), file);
	fclose(file);
	assert_true(length > 0);
	assert_int_equal(record.args_length, length);
	assert_int_equal(record.args_kept, length);
	assert_memory_equal(record.args, truth, length);
}

static void test_a_running_family_is_adopted_whole(void **state)
{
	struct fixture *fixture = *state;

	stranger_start(fixture, "family");
	sem_post(&fixture->board->go);
	marks_await(fixture, FAMILY_RESTS + 3 + 1);
	family_await_sleep(fixture);
	stranger_adopt(fixture, "family");
	assert_int_equal(tree_now(fixture).processes, 8);
	assert_int_equal(tree_now(fixture).forks, 8);
	assert_int_equal(tree_now(fixture).root_tgid, fixture->launch.pid);
	assert_int_equal(tree_now(fixture).inherited, 0);
	assert_int_equal(assert_exact(fixture), 8);
	assert_arguments_of(fixture, fixture->launch.pid);
	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++)
		assert_arguments_of(fixture, fixture->board->pids[resting[i]]);
	assert_true(process_now(fixture, fixture->board->pids[SHARER]).shared_mm);
	assert_true(process_now(fixture, fixture->board->pids[VFORKED]).shared_mm);

	/* They grow on: followed like any other. */
	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++)
		gate_open(fixture, resting[i]);
	marks_await(fixture, FAMILY_RESTS);
	scene_next(fixture);
	family_await_sleep(fixture);
	assert_int_equal(assert_exact(fixture), 8);

	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++)
		gate_open(fixture, resting[i]);
	sem_post(&fixture->board->go);
	mark_await(fixture);
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- who ends between two passes ------------------------------------------------------ */

/* fork() to the next free pid below ours: a pass meets the child before its parent. */
static pid_t spawn_below(struct board *board, int place)
{
	for (pid_t wanted = getpid() - 1; wanted > 2 && wanted > getpid() - 200; wanted--) {
		struct clone_args args = {.exit_signal = SIGCHLD,
					  .set_tid = (uint64_t)(uintptr_t)&wanted,
					  .set_tid_size = 1};
		pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

		if (pid > 0)
			board->pids[place] = pid;
		if (pid >= 0)
			return pid;
		require(errno == EEXIST, "clone3 with a pid of our choice");
	}
	require(0, "no free pid below");
	return -1;
}

static void play_below(struct board *board)
{
	pid_t child = spawn_below(board, 1);

	if (!child) {
		if (!spawn_below(board, 2)) {
			touch(reserve(90), 90);
			rest(board, 2);
			_exit(0);
		}
		rest(board, 1);
		_exit(0);
	}
	mark(board);
	reap(child);
	mark(board); /* the grandchild is an orphan */
}

static void test_children_of_who_ends_between_two_passes(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record root;

	stranger_start(fixture, "below");
	sem_post(&fixture->board->go);
	marks_await(fixture, 3);
	root = process_find(fixture, fixture->launch.pid);
	tree_register(fixture, "below");
	assert_int_equal(
		tracker_call(fixture->tracker, MT_PROG_CENSUS_BEGIN,
			     (uint64_t[]){1, fixture->tree, root.tgid, root.start_boot_ns, 0}, 5,
			     NULL),
		0);
	census_pass(fixture);
	/* The pass met both before the root was a member. */
	assert_int_equal(tree_unhealed(fixture).processes, 1);
	gate_open(fixture, 1);
	scene_next(fixture);
	/* No pass since: the handler of its parent's exit has adopted it. */
	assert_int_equal(tree_now(fixture).processes, 2);
	assert_int_equal(assert_exact(fixture), 2);
	assert_int_equal(census_pass(fixture), census_pass(fixture));
	census_switch(fixture, false);
	gate_open(fixture, 2);
	await_processes(fixture, 1);
	scene_end(fixture);
}

/* --- at full speed ---------------------------------------------------------------------- */

enum { ALIVE, STOP, TURNS, PARKED };

#define STORM_WORKERS 4
#define STORM_SLEEPERS 40
#define STORM_TURNS_MAX 20000

static _Noreturn void storm_end(struct board *board)
{
	count_up(board, ALIVE, -1);
	_exit(0);
}

static _Noreturn void storm_park(struct board *board)
{
	touch(reserve(3), 3);
	count_up(board, PARKED, 1);
	park(board, 0);
	storm_end(board);
}

/* Each turn hands the work to a grandchild and ends: a lineage that is cut all the time. */
static _Noreturn void storm_work(struct board *board)
{
	for (;;) {
		int64_t turn = count_up(board, TURNS, 1);

		if (board->numbers[STOP] || turn > STORM_TURNS_MAX)
			storm_park(board);
		if (turn % 16 == 0 && turn / 16 < STORM_SLEEPERS && !fork_counted(board, ALIVE))
			storm_park(board);
		if (fork_counted(board, ALIVE))
			storm_end(board);
		if (fork_counted(board, ALIVE))
			storm_end(board);
	}
}

static void play_storm(struct board *board)
{
	signal(SIGCHLD, SIG_IGN);
	require(!prctl(PR_SET_CHILD_SUBREAPER, 1), "subreaper");
	count_up(board, ALIVE, 1);
	for (int i = 0; i < STORM_WORKERS; i++)
		if (!fork_counted(board, ALIVE))
			storm_work(board);
	mark(board);
	for (int64_t left = board->numbers[ALIVE]; left > 1; left--)
		sem_post(&board->gates[0]);
	while (board->numbers[ALIVE] > 1)
		usleep(1000);
	mark(board);
}

static void number_await(struct fixture *fixture, int number, int64_t least)
{
	const int64_t *value = &fixture->board->numbers[number];

	for (time_t end = 0; __atomic_load_n(value, __ATOMIC_SEQ_CST) < least && poll_on(&end);)
		;
	assert_true(*value >= least);
}

static void test_a_tree_that_forks_at_full_speed(void **state)
{
	struct fixture *fixture = *state;
	int64_t turns;

	stranger_start(fixture, "storm");
	scene_next(fixture);
	number_await(fixture, TURNS, 200);
	stranger_adopt(fixture, "storm");
	turns = fixture->board->numbers[TURNS];
	number_await(fixture, TURNS, turns + 200);
	fixture->board->numbers[STOP] = 1;
	for (time_t end = 0;
	     fixture->board->numbers[PARKED] + 1 < fixture->board->numbers[ALIVE] && poll_on(&end);)
		;
	/* The last exits are in their teardown; from 7.0 one may have been missed. */
	assert_int_equal(census_heal(fixture->tracker), 0);
	await_processes(fixture, (unsigned int)fixture->board->numbers[ALIVE]);
	assert_true(fixture->board->numbers[ALIVE] > STORM_WORKERS);
	assert_int_equal(assert_exact(fixture), fixture->board->numbers[ALIVE]);
	scene_next(fixture);
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- again and again ---------------------------------------------------------------------- */

#define STILL 4

static void play_still(struct board *board)
{
	for (int i = 1; i <= STILL; i++)
		if (!spawn(board, i)) {
			touch(reserve(20), 20);
			rest(board, i);
			_exit(0);
		}
	mark(board);
	for (int i = 1; i <= STILL; i++)
		reap(board->pids[i]);
}

static unsigned int fds_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static size_t map_entries(const struct fixture *fixture, enum mt_map map)
{
	char key[64], next[64];
	size_t count = 0;

	while (!bpf_map_get_next_key(fixture->tracker->maps[map], count ? key : NULL, next)) {
		memcpy(key, next, sizeof(key));
		count++;
	}
	return count;
}

static void test_a_thousand_adoptions_leave_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record root;
	unsigned int fds;

	stranger_start(fixture, "still");
	sem_post(&fixture->board->go);
	marks_await(fixture, STILL + 1);
	for (int i = 1; i <= STILL; i++)
		await_sleep(fixture->board->pids[i]);
	root = process_find(fixture, fixture->launch.pid);
	fds = fds_open();
	for (int i = 0; i < 1000; i++) {
		tree_register(fixture, "still");
		assert_int_equal(census_adopt(fixture->tracker, fixture->tree, root.tgid,
					      root.start_boot_ns),
				 0);
		assert_int_equal(registry_holds(fixture->tracker, fixture->tree), 2 * (STILL + 1));
		if (i % 100 == 0)
			assert_int_equal(assert_exact(fixture), STILL + 1);
		assert_int_equal(forget_tree(fixture->tracker, fixture->tree), 0);
		fixture->tree = 0;
	}
	assert_int_equal(fds_open(), fds);
	assert_int_equal(map_entries(fixture, MT_MAP_PROCESSES), 0);
	assert_int_equal(map_entries(fixture, MT_MAP_SPACES), 0);
	assert_int_equal(map_entries(fixture, MT_MAP_REGISTRY), 0);
	assert_int_equal(map_entries(fixture, MT_MAP_WINDOWS), 0);
	/* They have not noticed anything. */
	for (int i = 1; i <= STILL; i++)
		gate_open(fixture, i);
	scene_end(fixture);
}

static void live_shortly(unsigned int microseconds)
{
	for (int i = 0; i < 3; i++)
		if (!fork()) {
			usleep(microseconds + (unsigned int)i * 300);
			_exit(0);
		}
	usleep(microseconds);
	_exit(0);
}

static void test_trees_that_end_while_they_are_adopted(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record root;

	for (unsigned int i = 0; i < 60; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			live_shortly(i * 100);
		if (!census_find(fixture->tracker, pid, &root)) {
			tree_register(fixture, "short");
			assert_int_equal(census_adopt(fixture->tracker, fixture->tree, root.tgid,
						      root.start_boot_ns),
					 0);
		}
		while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
			;
		if (fixture->tree)
			await_held(fixture, 0);
		if (fixture->tree)
			assert_int_equal(forget_tree(fixture->tracker, fixture->tree), 0);
		fixture->tree = 0;
		assert_int_equal(map_entries(fixture, MT_MAP_PROCESSES), 0);
		assert_int_equal(map_entries(fixture, MT_MAP_SPACES), 0);
	}
}

/* --- who must not be adopted ----------------------------------------------------------------- */

static void test_a_pid_that_was_used_again_is_somebody_else(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record before, after;
	pid_t pid = sleeper_start(0);

	before = process_find(fixture, pid);
	sleeper_end(pid);
	assert_int_equal(census_find(fixture->tracker, pid, &after), -ESRCH);
	assert_int_equal(sleeper_start(pid), pid);
	after = process_find(fixture, pid);
	assert_int_equal(after.tgid, before.tgid);
	assert_true(after.start_boot_ns > before.start_boot_ns);
	tree_register(fixture, "reused");
	assert_int_equal(census_adopt(fixture->tracker, fixture->tree, before.tgid,
				      before.start_boot_ns),
			 0);
	assert_int_equal(registry_holds(fixture->tracker, fixture->tree), 0);
	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, after.tgid, after.start_boot_ns), 0);
	assert_int_equal(registry_holds(fixture->tracker, fixture->tree), 2);
	fixture->launch.pid = pid; /* ended with the test */
}

static void test_a_zombie_is_not_adopted(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record found;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(0);
	found = process_find(fixture, pid);
	for (time_t end = 0; found.live && poll_on(&end);)
		found = process_find(fixture, pid);
	assert_false(found.live);
	tree_register(fixture, "zombie");
	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, found.tgid, found.start_boot_ns), 0);
	assert_int_equal(registry_holds(fixture->tracker, fixture->tree), 0);
	fixture->launch.pid = pid;
}

/* Those who run the census stay out, even as descendants of the root. */
static void test_the_adopter_is_no_member(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record root = process_find(fixture, getppid());

	if (root.tgid <= 1)
		skip_because("the tests are a child of process 1");
	tree_register(fixture, "parent");
	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, root.tgid, root.start_boot_ns), 0);
	assert_true(tree_now(fixture).processes >= 1);
	for (size_t i = 0; i < 2; i++) {
		struct reading reading;

		reading_take(fixture, &reading);
		for (size_t j = 0; j < reading.model.process_count; j++)
			assert_int_not_equal(reading.model.processes[j].tgid, getpid());
		reading_free(&reading);
	}
	assert_int_equal(forget_tree(fixture->tracker, fixture->tree), 0);
	fixture->tree = 0;
}

const struct scene adopt_scenes[] = {
	{"family", play_family}, {"below", play_below}, {"storm", play_storm},
	{"still", play_still},	 {NULL, NULL},
};

int adopt_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_a_running_family_is_adopted_whole),
		tree_test(test_children_of_who_ends_between_two_passes),
		cmocka_unit_test_setup_teardown(test_a_tree_that_forks_at_full_speed, tree_open,
						lossy_tree_close),
		tree_test(test_a_thousand_adoptions_leave_nothing),
		tree_test(test_trees_that_end_while_they_are_adopted),
		tree_test(test_a_pid_that_was_used_again_is_somebody_else),
		tree_test(test_a_zombie_is_not_adopted),
		tree_test(test_the_adopter_is_no_member),
	};

	return cmocka_run_group_tests_name("adopt", tests, fixture_share, NULL);
}

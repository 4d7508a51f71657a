// SPDX-License-Identifier: GPL-2.0-only
/* Cpu time, virtual size, start times and cgroups, against the kernel's own figures. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"

#define MS 1000000LL

static int64_t clock_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t own_cpu(void)
{
	return clock_now(CLOCK_PROCESS_CPUTIME_ID);
}

/* Of the calling thread. */
static void burn(int64_t ns)
{
	int64_t until = clock_now(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_now(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

/* The test reads between the two: what it sees lies between these numbers. */
static void mark_with_cpu(struct board *board)
{
	board->numbers[0] = own_cpu();
	mark(board);
	board->numbers[1] = own_cpu();
	mark(board);
}

/* --- cpu time ------------------------------------------------------------------------- */

static void play_burn(struct board *board)
{
	mark(board);
	burn(40 * MS);
	mark_with_cpu(board);
	burn(10 * MS);
	mark_with_cpu(board);
}

static void test_cpu_time_of_a_process(void **state)
{
	struct fixture *fixture = *state;
	struct process process;
	struct tree tree;

	scene_start(fixture, "burn");
	scene_next(fixture);
	for (int i = 0; i < 2; i++) {
		scene_next(fixture);
		process = process_now(fixture, scene_root(fixture));
		tree = tree_now(fixture);
		scene_next(fixture);
		assert_in_range(process.cpu_ns, fixture->board->numbers[0],
				fixture->board->numbers[1]);
		assert_int_equal(tree.cpu_ns, process.cpu_ns);
	}
	assert_true(process.cpu_ns >= 50 * MS);
	scene_end(fixture);
}

static void *thread_that_burns_and_ends(void *unused)
{
	(void)unused;
	burn(30 * MS);
	return NULL;
}

static void *thread_that_burns_and_stays(void *argument)
{
	burn(20 * MS);
	sem_post(&((struct board *)argument)->gates[1]);
	park(argument, 0);
	return NULL;
}

static void play_burn_threads(struct board *board)
{
	pthread_t ends, stays;

	mark(board);
	require(!pthread_create(&ends, NULL, thread_that_burns_and_ends, NULL), "thread");
	require(!pthread_create(&stays, NULL, thread_that_burns_and_stays, board), "thread");
	require(!pthread_join(ends, NULL), "join");
	park(board, 1);
	mark_with_cpu(board);
	sem_post(&board->gates[0]);
	require(!pthread_join(stays, NULL), "join");
	mark_with_cpu(board);
}

static void test_cpu_time_of_threads(void **state)
{
	struct fixture *fixture = *state;
	struct process process;

	scene_start(fixture, "burn_threads");
	scene_next(fixture);
	for (unsigned int threads = 2; threads; threads--) {
		scene_next(fixture);
		process = await_threads(fixture, scene_root(fixture), threads);
		scene_next(fixture);
		assert_in_range(process.cpu_ns, fixture->board->numbers[0],
				fixture->board->numbers[1]);
		assert_true(process.cpu_ns >= 50 * MS);
	}
	scene_end(fixture);
}

/* What its children used, as the kernel tells a parent that reaped them. */
static int64_t children_cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static void child_burns(struct board *board, int place, bool threaded)
{
	pthread_t thread;

	if (threaded)
		require(!pthread_create(&thread, NULL, thread_that_burns_and_stays, board),
			"thread");
	burn(20 * MS);
	if (threaded)
		park(board, 1);
	board->numbers[place] = own_cpu();
	_exit(0);
}

static void play_burn_children(struct board *board)
{
	mark(board);
	for (int place = 2; place < 5; place++) {
		pid_t pid = spawn(board, place);

		if (!pid)
			child_burns(board, place, place == 4);
		reap(pid);
	}
	board->numbers[5] = children_cpu();
	mark_with_cpu(board);
}

/* What they have used stays with the tree. */
static void test_cpu_time_of_children_that_ended(void **state)
{
	struct fixture *fixture = *state;
	const int64_t *numbers = fixture->board->numbers;
	int64_t cpu;

	scene_start(fixture, "burn_children");
	scene_next(fixture);
	scene_next(fixture);
	cpu = (int64_t)tree_now(fixture).cpu_ns;
	assert_true(tree_now(fixture).cpu_ns >= (uint64_t)cpu);
	scene_next(fixture);
	assert_true(numbers[2] + numbers[3] + numbers[4] >= 80 * MS);
	assert_true(cpu >= numbers[0] + numbers[2] + numbers[3] + numbers[4]);
	/* The kernel splits it by ticks first, and a parent may reap a child before it has left the
	 * CPU; what was counted twice would be twice as much. */
	assert_true(cpu <= numbers[1] + numbers[5] + 40 * MS);
	scene_end(fixture);
}

static void play_burn_zombie(struct board *board)
{
	pid_t pid;

	mark(board);
	pid = spawn(board, 0);
	if (!pid)
		child_burns(board, 2, false);
	mark(board);
	reap(pid);
	mark(board);
}

static void test_cpu_time_of_a_zombie(void **state)
{
	struct fixture *fixture = *state;
	struct process zombie;
	uint64_t before;

	scene_start(fixture, "burn_zombie");
	scene_next(fixture);
	scene_next(fixture);
	await_zombies(fixture, 1);
	zombie = process_now(fixture, fixture->board->pids[0]);
	before = tree_now(fixture).cpu_ns;
	assert_true(zombie.zombie);
	assert_true(zombie.cpu_ns >= (uint64_t)fixture->board->numbers[2]);
	assert_true(before >= zombie.cpu_ns);
	scene_next(fixture);
	await_zombies(fixture, 0);
	assert_true(tree_now(fixture).cpu_ns >= before);
	scene_end(fixture);
}

#define SHORT_LIVES 200

/* Shorter than the scheduler's ticks, by which it books a running thread's time. */
static void play_burn_briefly(struct board *board)
{
	mark(board);
	for (int i = 0; i < SHORT_LIVES; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid) {
			burn(MS / 2);
			__atomic_fetch_add(&board->numbers[2], own_cpu(), __ATOMIC_SEQ_CST);
			_exit(0);
		}
		reap(pid);
	}
	board->numbers[3] = children_cpu();
	mark_with_cpu(board);
}

static void test_cpu_time_of_short_lives(void **state)
{
	struct fixture *fixture = *state;
	const int64_t *numbers = fixture->board->numbers;
	int64_t cpu;

	scene_start(fixture, "burn_briefly");
	scene_next(fixture);
	scene_next(fixture);
	cpu = (int64_t)tree_now(fixture).cpu_ns;
	scene_next(fixture);
	assert_true(numbers[2] >= SHORT_LIVES * MS / 2);
	assert_true(cpu >= numbers[0] + numbers[2]);
	/* A parent may reap a child before it has left the CPU. */
	assert_true(cpu <= numbers[1] + numbers[3] * 3 / 2);
	scene_end(fixture);
}

static void play_burn_on_and_on(struct board *board)
{
	mark(board);
	for (int i = 0; i < SHORT_LIVES; i++) {
		pid_t first = fork(), second = fork();

		require(first >= 0 && second >= 0, "fork");
		if (!first || !second) {
			burn(MS);
			_exit(0);
		}
		reap(first);
		reap(second);
	}
	__atomic_store_n(&board->numbers[2], 1, __ATOMIC_SEQ_CST);
	mark(board);
}

/* However its members come and go while they are read. */
static void test_cpu_time_never_falls(void **state)
{
	struct fixture *fixture = *state;
	time_t end = time(NULL) + DEADLINE_S;
	uint64_t last = 0, now;
	int readings = 0;

	scene_start(fixture, "burn_on_and_on");
	scene_next(fixture);
	sem_post(&fixture->board->go);
	while (!__atomic_load_n(&fixture->board->numbers[2], __ATOMIC_SEQ_CST)) {
		assert_true(time(NULL) < end);
		now = tree_now(fixture).cpu_ns;
		if (now < last)
			fail_msg("%llu ns fell to %llu", (unsigned long long)last,
				 (unsigned long long)now);
		last = now;
		readings++;
	}
	assert_true(readings > 10);
	assert_true(last > 0);
	mark_await(fixture);
	scene_end(fixture);
}

/* --- virtual size --------------------------------------------------------------------- */

static int64_t statm_size(pid_t pid)
{
	char name[64];
	long long pages = -1;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/statm", pid);
	file = fopen(name, "re");
	if (!file || fscanf(file, "%lld", &pages) != 1)
		pages = -1;
	if (file)
		fclose(file);
	return pages * (int64_t)PAGE;
}

static void play_map(struct board *board)
{
	char *memory;

	mark(board);
	memory = reserve(5000);
	mark(board);
	munmap(memory + 1000 * PAGE, 3000 * PAGE);
	mark(board);
	if (!spawn(board, 0)) {
		reserve(700);
		sem_post(&board->gates[1]);
		park(board, 0);
		_exit(0);
	}
	park(board, 1);
	mark(board);
	sem_post(&board->gates[0]);
	reap(board->pids[0]);
	mark(board);
}

static void test_virtual_size(void **state)
{
	struct fixture *fixture = *state;
	int64_t size[4];
	struct tree tree;

	scene_start(fixture, "map");
	for (int i = 0; i < 4; i++) {
		scene_next(fixture);
		size[i] = process_now(fixture, scene_root(fixture)).vmem;
		tree = tree_now(fixture);
		assert_int_equal(size[i], statm_size(scene_root(fixture)));
		if (i < 3)
			assert_int_equal(tree.vmem, size[i]);
	}
	assert_int_equal(size[1] - size[0], bytes_of(5000));
	assert_int_equal(size[2] - size[1], -bytes_of(3000));
	await_sleep(fixture->board->pids[0]);
	assert_int_equal(statm_size(fixture->board->pids[0]), size[3] + bytes_of(700));
	assert_int_equal(tree.vmem, 2 * size[3] + bytes_of(700));
	scene_next(fixture);
	assert_int_equal(tree_now(fixture).vmem, size[3]);
	scene_end(fixture);
}

/* --- start times ---------------------------------------------------------------------- */

/* In clock ticks since boot, field 22. */
static int64_t stat_start(pid_t pid)
{
	char name[64], line[1024], *field = NULL;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	file = fopen(name, "re");
	if (file && fgets(line, sizeof(line), file))
		field = strrchr(line, ')');
	for (int i = 2; i < 22 && field; i++)
		field = strchr(field + 1, ' ');
	if (file)
		fclose(file);
	return field ? atoll(field) : -1;
}

static void test_start_times(void **state)
{
	struct fixture *fixture = *state;
	int64_t before = clock_now(CLOCK_REALTIME), before_boot = clock_now(CLOCK_BOOTTIME), after;
	const int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
	struct process root;
	struct tree tree;

	scene_start(fixture, "map");
	after = clock_now(CLOCK_REALTIME);
	tree = tree_now(fixture);
	root = process_now(fixture, scene_root(fixture));
	assert_in_range(tree.started_real_ns, before, after);
	assert_in_range(root.start_boot_ns, before_boot, clock_now(CLOCK_BOOTTIME));
	assert_true(root.execed_boot_ns > root.start_boot_ns);
	assert_int_equal(root.start_boot_ns / (uint64_t)tick, stat_start(scene_root(fixture)));
	for (int i = 0; i < 5; i++)
		scene_next(fixture);
	scene_end(fixture);
}

const struct scene figure_scenes[] = {
	{"burn", play_burn},
	{"burn_threads", play_burn_threads},
	{"burn_children", play_burn_children},
	{"burn_zombie", play_burn_zombie},
	{"burn_briefly", play_burn_briefly},
	{"burn_on_and_on", play_burn_on_and_on},
	{"map", play_map},
	{NULL, NULL},
};

int figure_tests(void)
{
	const struct CMUnitTest figures[] = {
		tree_test(test_cpu_time_of_a_process),
		tree_test(test_cpu_time_of_threads),
		tree_test(test_cpu_time_of_children_that_ended),
		tree_test(test_cpu_time_of_a_zombie),
		tree_test(test_cpu_time_of_short_lives),
		tree_test(test_cpu_time_never_falls),
		tree_test(test_virtual_size),
		tree_test(test_start_times),
	};

	return cmocka_run_group_tests_name("figures", figures, fixture_share, NULL);
}

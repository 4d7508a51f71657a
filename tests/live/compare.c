// SPDX-License-Identifier: GPL-2.0-only
/* memtree compare: every cause of a difference made by hand, and named rightly. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"
#include "said.h"
#include "smaps.h"

/* --- address spaces ----------------------------------------------------------------------- */

static void play_rest(struct board *board)
{
	touch(reserve(3000), 3000);
	mark(board);
}

static void test_both_sides_agree_on_one_process(void **state)
{
	struct fixture *fixture = *state;
	int64_t truth[MT_KINDS];
	json_t *cost;

	scene_start(fixture, "rest");
	scene_next(fixture);
	compare("rest", "");
	assert_int_equal(integer(tree_said(), "compared"), 1);
	assert_int_equal(map_said("processes"), 1);
	assert_int_equal(procfs_said("processes"), 1);
	assert_int_equal(map_said("charged") - procfs_said("rss"), cause_bytes("remainders"));
	assert_int_equal(map_said("vmem"), procfs_said("vmem"));
	assert_int_equal(smaps_read(scene_root(fixture), scene_root(fixture), truth), 0);
	assert_int_equal(map_said("anon"), truth[MT_ANON]);
	assert_int_equal(map_said("rss"), bytes_rss(truth));
	cost = json_object_get(said, "cost");
	assert_true(integer(cost, "map_read_ns") > 0);
	assert_true(integer(cost, "map_calls") > 0);
	assert_true(integer(cost, "procfs_scan_ns") > 0);
	/* Each process costs at least an open, a read and a close. */
	assert_true(integer(cost, "procfs_calls") > 6);
	assert_int_equal(integer(cost, "containers"), 1);
	scene_end(fixture);
}

#define CREW 100
#define CREW_PAGES 60

static void *crew_work(void *argument)
{
	struct board *board = argument;
	static char *memory;
	static int strides;

	if (!__atomic_load_n(&memory, __ATOMIC_ACQUIRE))
		__atomic_store_n(&memory, (char *)(intptr_t)board->numbers[1], __ATOMIC_RELEASE);
	touch(memory +
		      (size_t)__atomic_fetch_add(&strides, 1, __ATOMIC_RELAXED) * CREW_PAGES * PAGE,
	      CREW_PAGES);
	if (count_up(board, 0, 1) == CREW)
		sem_post(&board->gates[1]);
	park(board, 0);
	return NULL;
}

static void play_crew(struct board *board)
{
	pthread_t threads[CREW];

	board->numbers[1] = (int64_t)(intptr_t)reserve((size_t)CREW * CREW_PAGES);
	for (int i = 0; i < CREW; i++)
		require(!pthread_create(&threads[i], NULL, crew_work, board), "pthread_create");
	park(board, 1);
	mark(board);
	for (int i = 0; i < CREW; i++)
		sem_post(&board->gates[0]);
	for (int i = 0; i < CREW; i++)
		require(!pthread_join(threads[i], NULL), "pthread_join");
}

static void test_remainders_of_a_hundred_threads(void **state)
{
	struct fixture *fixture = *state;
	int64_t truth[MT_KINDS];

	scene_start(fixture, "crew");
	scene_next(fixture);
	await_all_asleep(scene_root(fixture));
	compare("crew", "");
	assert_int_equal(smaps_read(scene_root(fixture), scene_root(fixture), truth), 0);
	assert_int_equal(map_said("rss"), bytes_rss(truth));
	assert_true(map_said("anon") >= bytes_of((size_t)CREW * CREW_PAGES));
	assert_int_equal(cause_bytes("remainders"), map_said("rss") - procfs_said("rss"));
	/* Before 6.2 a thread keeps its first 64 pages to itself. */
	if (fixture->tracker->header.thread_remainders)
		assert_true(cause_bytes("remainders") > bytes_of(CREW * CREW_PAGES / 2));
	scene_end(fixture);
}

static void shared_twice(struct fixture *fixture, const char *name)
{
	scene_start(fixture, name);
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	compare(name, "shared_address_space");
	assert_int_equal(map_said("processes"), 2);
	assert_int_equal(procfs_said("processes"), 2);
	assert_true(map_said("anon") >= bytes_of(3000));
	assert_int_equal(cause_bytes("shared_address_space"), -procfs_said("rss") / 2);
	assert_int_equal(cause_processes("shared_address_space"), 1);
	assert_int_equal(map_said("vmem") * 2, procfs_said("vmem"));
	gate_open(fixture, 0);
}

static void test_a_vfork_child_is_counted_twice(void **state)
{
	shared_twice(*state, "vfork");
	mark_await(*state);
	scene_end(*state);
}

static void test_a_shared_address_space_is_counted_twice(void **state)
{
	shared_twice(*state, "clone_vm");
	scene_next(*state);
	scene_end(*state);
}

static void play_heiress(struct board *board)
{
	touch(reserve(3000), 3000);
	if (!spawn(board, 0)) {
		park(board, 0);
		_exit(0);
	}
	mark(board);
	sem_post(&board->gates[0]);
	reap(board->pids[0]);
}

static void test_inherited_memory_is_exempt_for_now(void **state)
{
	struct fixture *fixture = *state;
	struct process child;

	scene_start(fixture, "heiress");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	compare("heiress", "inherited");
	child = process_now(fixture, fixture->board->pids[0]);
	assert_true(child.inherited >= bytes_of(3000));
	assert_int_equal(cause_bytes("inherited"), -child.inherited);
	assert_int_equal(cause_processes("inherited"), 1);
	assert_int_equal(map_said("inherited"), child.inherited);
	assert_int_equal(map_said("charged"), map_said("rss") - child.inherited);
	scene_end(fixture);
}

static void test_another_metric_is_a_cause(void **state)
{
	struct fixture *fixture = *state;

	scene_start_metric(fixture, "rest", 1U << MT_ANON);
	scene_next(fixture);
	compare("rest", "metric");
	assert_int_equal(map_said("charged"), map_said("anon"));
	assert_int_equal(cause_bytes("metric"), -map_said("file") - map_said("shmem"));
	assert_true(cause_bytes("metric") < 0);
	scene_end(fixture);
}

static void test_a_main_thread_that_has_exited(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "leader_exits");
	scene_next(fixture);
	scene_next(fixture);
	for (time_t end = 0;
	     process_now(fixture, scene_root(fixture)).state != 'Z' && poll_on(&end);)
		;
	await_all_asleep(scene_root(fixture));
	compare("leader_exits", "leader_exited");
	assert_int_equal(procfs_said("rss"), 0);
	assert_int_equal(cause_bytes("leader_exited"), map_said("rss"));
	assert_true(map_said("anon") >= bytes_of(300));
	gate_open(fixture, 0);
	mark_await(fixture);
	gate_open(fixture, 0);
	scene_end(fixture);
}

/* --- what moves ------------------------------------------------------------------------------ */

#define BRIEF_LIVES 50

static void play_brief_lives(struct board *board)
{
	mark(board);
	for (int i = 0; i < BRIEF_LIVES; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid)
			_exit(0);
		reap(pid);
	}
	mark(board);
}

static void test_lives_between_two_scans(void **state)
{
	struct fixture *fixture = *state;
	char line[64];
	struct started started;

	scene_start(fixture, "brief_lives");
	scene_next(fixture);
	started = start(NULL, "compare brief_lives --count 2 --interval 3s");
	text_await(started.out, "cost: ");
	scene_next(fixture);
	await_zombies(fixture, 0);
	finish(started);
	assert_int_equal(outcome.status, 0);
	snprintf(line, sizeof(line), "born_and_gone           %d", BRIEF_LIVES);
	if (!strstr(outcome.out, line))
		print_error("%s\n", outcome.out);
	assert_non_null(strstr(outcome.out, line));
	scene_end(fixture);
}

static void test_a_tree_that_ends_between_two_readings(void **state)
{
	struct fixture *fixture = *state;
	struct started started;

	scene_start(fixture, "rest");
	scene_next(fixture);
	started = start(NULL, "compare rest --count 0 --interval 100ms");
	text_await(started.out, "cost: ");
	scene_end(fixture);
	finish(started);
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "ended while it was read"));
}

static void play_restless(struct board *board)
{
	char *memory = reserve(512);

	if (!spawn(board, 0)) {
		for (;;) {
			touch(memory, 512);
			madvise(memory, 512 * PAGE, MADV_DONTNEED);
		}
	}
	mark(board);
	kill(board->pids[0], SIGKILL);
	reap(board->pids[0]);
}

/* What moves is called so, not a difference. */
static void test_a_gauge_that_moves_is_marked(void **state)
{
	struct fixture *fixture = *state;
	int moved = 0;

	scene_start(fixture, "restless");
	scene_next(fixture);
	for (int i = 0; i < 50 && moved < 3; i++) {
		compare_any("restless", "");
		moved += cause_processes("moved") > 0;
	}
	assert_int_equal(moved, 3);
	scene_end(fixture);
}

/* On the host hundreds at most. */
static void play_coming_and_going(struct board *board)
{
	int64_t lives = getenv("MEMTREE_TEST_VM") ? 1000 : 300;

	for (int worker = 0; worker < 4; worker++) {
		if (spawn(board, worker))
			continue;
		while (count_up(board, 0, 1) <= lives || !board->numbers[1]) {
			pid_t pid = fork();

			require(pid >= 0, "fork");
			if (!pid) {
				touch(reserve(20), 20);
				_exit(0);
			}
			reap(pid);
		}
		_exit(0);
	}
	mark(board);
	board->numbers[1] = 1;
	for (int worker = 0; worker < 4; worker++)
		reap(board->pids[worker]);
}

static void test_a_thousand_processes_come_and_go(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "coming_and_going");
	scene_next(fixture);
	for (int i = 0; i < 10 || fixture->board->numbers[0] < 300; i++)
		compare_any("coming_and_going", "--count 2 --interval 10ms");
	assert_true(map_said("processes") >= 5);
	scene_end(fixture);
}

/* --- the shadow -------------------------------------------------------------------------------- */

static void play_pair(struct board *board)
{
	touch(reserve(3000), 3000);
	if (!spawn(board, 0)) {
		park(board, 0);
		_exit(0);
	}
	mark(board);
	sem_post(&board->gates[0]);
	reap(board->pids[0]);
}

static json_t *shadow_said(void)
{
	return json_object_get(tree_said(), "shadow");
}

static const char *shadow_word(const char *key)
{
	return json_string_value(json_object_get(shadow_said(), key));
}

static void test_the_shadow_kills_at_the_second_pass(void **state)
{
	struct fixture *fixture = *state;
	char options[128], line[128];
	json_int_t rss;

	scene_start(fixture, "pair");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	compare("pair", "inherited");
	rss = procfs_said("rss");
	/* Between one and two limits: the old ones are over at the second pass. */
	snprintf(options, sizeof(options),
		 "--shadow yarn --vmem-ratio 0 --limit %lld --count 3 --interval 10ms",
		 (long long)rss * 2 / 3);
	compare_any("pair", options);
	assert_int_equal(integer(shadow_said(), "pass"), 3);
	assert_string_equal(shadow_word("verdict"), "over_aged");
	assert_int_equal(integer(json_object_get(shadow_said(), "killed"), "pass"), 2);
	assert_int_equal(integer(shadow_said(), "current"), rss);
	assert_int_equal(integer(shadow_said(), "aged"), rss);
	assert_non_null(
		strstr(shadow_word("words"), "processes older than 1 iteration running over"));
	snprintf(line, sizeof(line), "Container [pid=%d,containerID=pair] is running ",
		 scene_root(fixture));
	assert_non_null(strstr(shadow_word("words"), line));
	snprintf(line, sizeof(line), "\t|- %d %d ", fixture->board->pids[0], scene_root(fixture));
	assert_non_null(strstr(shadow_word("words"), line));
	/* Beyond two limits; the first pass never decides. */
	snprintf(options, sizeof(options), "--shadow yarn --vmem-ratio 0 --limit %lld --count 1",
		 (long long)rss / 3);
	compare_any("pair", options);
	assert_true(json_is_null(json_object_get(shadow_said(), "killed")));
	snprintf(options, sizeof(options),
		 "--shadow yarn --vmem-ratio 0 --limit %lld --count 2 --interval 0",
		 (long long)rss / 3);
	compare_any("pair", options);
	assert_string_equal(shadow_word("verdict"), "over_twice");
	assert_non_null(strstr(shadow_word("words"), "running over twice the configured limit"));
	/* Virtual memory kills for what nobody uses. */
	snprintf(options, sizeof(options),
		 "--shadow yarn --vmem-ratio 0.001 --limit %lld --count 2 --interval 0",
		 (long long)rss);
	compare_any("pair", options);
	assert_string_equal(shadow_word("verdict"), "within");
	assert_int_equal(integer(json_object_get(shadow_said(), "vmem_killed"), "pass"), 2);
	assert_non_null(strstr(shadow_word("words"), "beyond the 'VIRTUAL' memory limit"));
	/* Within. memtree itself would charge the pair for one. */
	snprintf(options, sizeof(options),
		 "--shadow yarn --vmem-ratio 0 --limit %lld --count 2 --interval 0",
		 (long long)rss);
	compare_any("pair", options);
	assert_string_equal(shadow_word("verdict"), "within");
	assert_true(json_is_null(json_object_get(shadow_said(), "killed")));
	scene_end(fixture);
}

/* --- arguments ------------------------------------------------------------------------------------ */

static void test_wrong_arguments(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"compare nobody-has-this-name", 3},
		{"compare rest more", 2},
		{"compare rest --interval 3", 2},
		{"compare rest --count -1", 2},
		{"compare rest --shadow java --limit 1G", 2},
		{"compare rest --shadow yarn", 2},
		{"compare rest --limit 1G", 2},
		{"compare rest --shadow yarn --limit 0", 2},
		{"compare rest --shadow yarn --limit 1G --json", 2},
		{"compare --frobnicate", 2},
	};
	struct fixture *fixture = *state;

	scene_start(fixture, "rest");
	scene_next(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(cases[i].line);
		if (outcome.status != cases[i].status)
			print_error("%s: %d %s\n", cases[i].line, outcome.status, outcome.err);
		assert_int_equal(outcome.status, cases[i].status);
		assert_one_line(outcome.err);
		assert_string_equal(outcome.out, "");
	}
	run_prepared(become_nobody, "compare rest");
	assert_int_equal(outcome.status, 4);
	scene_end(fixture);
}

const struct scene compare_scenes[] = {
	{"rest", play_rest},	     {"crew", play_crew},
	{"heiress", play_heiress},   {"brief_lives", play_brief_lives},
	{"restless", play_restless}, {"coming_and_going", play_coming_and_going},
	{"pair", play_pair},	     {NULL, NULL},
};

int compare_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_both_sides_agree_on_one_process),
		tree_test(test_remainders_of_a_hundred_threads),
		tree_test(test_a_vfork_child_is_counted_twice),
		tree_test(test_a_shared_address_space_is_counted_twice),
		tree_test(test_inherited_memory_is_exempt_for_now),
		tree_test(test_another_metric_is_a_cause),
		tree_test(test_a_main_thread_that_has_exited),
		tree_test(test_lives_between_two_scans),
		tree_test(test_a_tree_that_ends_between_two_readings),
		tree_test(test_a_gauge_that_moves_is_marked),
		tree_test(test_a_thousand_processes_come_and_go),
		tree_test(test_the_shadow_kills_at_the_second_pass),
		tree_test(test_wrong_arguments),
	};
	int failed = cmocka_run_group_tests_name("compare", tests, fixture_share, NULL);

	json_decref(said);
	said = NULL;
	return failed;
}

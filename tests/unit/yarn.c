// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom YARN's monitor takes for a container, and what it adds up. The figures are those of
 * Hadoop's own tests where a comment names one, the rest follows its sources.
 */
#include "container.h"

static void dies(struct story *story, pid_t pid)
{
	for (size_t i = 0; i < story->count; i++)
		if (story->all[i].pid == pid) {
			story->all[i] = story->all[--story->count];
			return;
		}
	fail_msg("process %d does not live", pid);
}

static void in_tree(const struct story *story, pid_t pid, uint32_t age)
{
	const struct yarn_process *process = yarn_tree_find(&story->tree, pid);

	assert_non_null(process);
	assert_int_equal(process->age, age);
}

static void escapes(const struct story *story, pid_t pid)
{
	assert_null(yarn_tree_find(&story->tree, pid));
}

/* --- the tree ------------------------------------------------------------------------- */

/* The mappings of Hadoop's createMemoryMappingInfo(): 100 kB by the formula of 2.x; with 10 kB
 * anonymous in each, 20 kB by that of 3.x. */
static void maps(struct story *story)
{
	static const struct procfs_mapping mappings[] = {
		{"rw-p", 4 * KB, 25 * KB, 4 * KB, 25 * KB, 15 * KB, 10 * KB, 10 * KB, 0, 0},
		{"r--s", 4 * KB, 25 * KB, 4 * KB, 0, 15 * KB, 10 * KB, 10 * KB, 0, 0},
		{"r-xs", 4 * KB, 25 * KB, 4 * KB, 0, 15 * KB, 10 * KB, 10 * KB, 0, 0},
		{"rw-p", 4 * KB, 25 * KB, 4 * KB, 50 * KB, 15 * KB, 10 * KB, 10 * KB, 0, 0},
	};

	for (size_t i = 0; i < story->tree.count; i++)
		yarn_process_mappings(&story->tree.processes[i], mappings, COUNT(mappings));
}

/* testCpuAndMemoryForProcessTree */
static void test_memory_and_cpu_time_of_a_tree(void **state)
{
	struct story story;

	begin(&story, 100);
	worked(lives(&story, 100, 1, 100), 1000, 200);
	worked(lives(&story, 200, 100, 100), 2000, 400);
	worked(lives(&story, 300, 200, 100), 3000, 600);
	worked(lives(&story, 400, 1, 400), 4000, 800);
	pass(&story);
	assert_int_equal(story.tree.count, 3);
	escapes(&story, 400);
	assert_int_equal(yarn_tree_vmem(&story.tree, 0), 600000);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_STAT, 0), 600 * PAGE);
	assert_int_equal(story.tree.cpu_ticks, 7200);
	maps(&story);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_2, 0), 100 * KB * 3);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_3, 0), 20 * KB * 3);

	worked(&story.all[0], 2000, 300);
	worked(&story.all[1], 3000, 500);
	pass(&story);
	assert_int_equal(story.tree.cpu_ticks, 9400);
	assert_int_equal(yarn_tree_find(&story.tree, 100)->delta_ticks, 1100);
	assert_int_equal(yarn_tree_find(&story.tree, 300)->delta_ticks, 0);
	end(&story);
}

/* testMemForOlderProcesses */
static void test_memory_of_those_who_are_older(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	lives(&story, 200, 100, 100);
	lives(&story, 300, 1, 300);
	lives(&story, 400, 100, 100);
	pass(&story);
	assert_int_equal(yarn_tree_vmem(&story.tree, 0), 700000);

	lives(&story, 500, 100, 100);
	pass(&story);
	maps(&story);
	assert_int_equal(yarn_tree_vmem(&story.tree, 0), 1200000);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_STAT, 0), 1200 * PAGE);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_3, 0), 20 * KB * 4);
	assert_int_equal(yarn_tree_vmem(&story.tree, 1), 700000);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_STAT, 1), 700 * PAGE);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_3, 1), 20 * KB * 3);

	lives(&story, 600, 100, 100);
	pass(&story);
	maps(&story);
	assert_int_equal(yarn_tree_vmem(&story.tree, 2), 700000);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_STAT, 2), 700 * PAGE);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_2, 2), 100 * KB * 3);
	assert_int_equal(yarn_tree_vmem(&story.tree, 1), 1200000);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_2, 1), 100 * KB * 4);
	assert_int_equal(yarn_tree_vmem(&story.tree, 3), 0);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_STAT, 3), 0);
	assert_int_equal(yarn_tree_memory(&story.tree, YARN_SMAPS_3, 3), 0);
	end(&story);
}

/* A shell that started 101 and is gone; the container's root leads its session. */
static void test_an_orphan_is_found_by_its_session(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 1, 0, 1);
	lives(&story, 100, 50, 100);
	lives(&story, 101, 1, 100);
	lives(&story, 102, 101, 100);
	lives(&story, 103, 1, 103);  /* has called setsid() */
	lives(&story, 104, 60, 100); /* was adopted by a subreaper outside */
	lives(&story, 105, 1, 77);   /* its session's leader is gone */
	lives(&story, 60, 1, 60);
	pass(&story);
	assert_int_equal(story.tree.count, 3);
	in_tree(&story, 101, 1);
	in_tree(&story, 102, 1);
	for (pid_t pid = 103; pid <= 105; pid++)
		escapes(&story, pid);
	end(&story);
}

static void test_init_is_nobodys_child(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 1, 100, 100); /* in a fixture */
	lives(&story, 100, 1, 100);
	lives(&story, 200, 1, 200);
	pass(&story);
	assert_int_equal(story.tree.count, 1);
	end(&story);

	story.tree.root = 1;
	pass(&story);
	assert_int_equal(story.tree.count, 3);
	end(&story);
}

static void test_the_order_of_the_pids_means_nothing(void **state)
{
	struct story story;

	begin(&story, 300);
	lives(&story, 100, 200, 300);
	lives(&story, 200, 300, 300);
	lives(&story, 300, 1, 300);
	pass(&story);
	assert_int_equal(story.tree.count, 3);
	assert_int_equal(story.tree.processes[0].stat.pid, 300);
	end(&story);
}

static void test_circles_end(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 102, 100);
	lives(&story, 101, 100, 100);
	lives(&story, 102, 101, 100);
	lives(&story, 103, 103, 100);
	lives(&story, 104, 105, 100);
	lives(&story, 105, 104, 100);
	pass(&story);
	assert_int_equal(story.tree.count, 3);
	assert_int_equal(yarn_tree_vmem(&story.tree, 0), 303000);
	end(&story);

	begin(&story, 100);
	lives(&story, 100, 100, 100);
	pass(&story);
	assert_int_equal(story.tree.count, 1);
	end(&story);
}

static void test_names_that_are_not_one_line_hide_a_process(void **state)
{
	static const struct {
		const char *name;
		bool seen;
	} cases[] = {
		{"java", true},
		{"a b) R 1", true},
		{"", true},
		{"\xff\xc2 \xe2\x80", true},
		{"\xe2\x80\xa7\v\f\x85", true},
		{"a\nb", false},
		{"\r", false},
		{"x\xc2\x85", false},
		{"\xe2\x80\xa8", false},
		{"\xe2\x80\xa9y", false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct story story;

		begin(&story, 100);
		lives(&story, 100, 1, 100);
		strcpy(lives(&story, 101, 100, 100)->comm, cases[i].name);
		lives(&story, 102, 101, 100);
		assert_int_equal(yarn_can_read(&story.all[1]), cases[i].seen);
		pass(&story);
		assert_int_equal(story.tree.count, cases[i].seen ? 3 : 1);
		end(&story);
	}
}

static void test_a_root_that_hides_is_gone(void **state)
{
	struct story story;

	begin(&story, 100);
	strcpy(lives(&story, 100, 1, 100)->comm, "\n");
	lives(&story, 101, 100, 100);
	pass(&story);
	assert_int_equal(story.tree.count, 0);
	end(&story);
}

/* --- pids that are used again ------------------------------------------------------------ */

/* The second 101 has worked less than the first: the time goes back. */
static void test_a_recycled_pid_inherits_age_and_time(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	worked(lives(&story, 101, 100, 100), 500, 500);
	pass(&story);
	pass(&story);
	in_tree(&story, 101, 2);
	dies(&story, 101);
	worked(lives(&story, 101, 100, 100), 10, 20)->start_ticks = 99;
	pass(&story);
	in_tree(&story, 101, 3);
	assert_int_equal(yarn_tree_find(&story.tree, 101)->delta_ticks, -970);
	assert_int_equal(story.tree.cpu_ticks, 30);
	end(&story);
}

static void test_who_was_away_for_a_pass_is_young_again(void **state)
{
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	worked(lives(&story, 101, 100, 100), 5, 0);
	pass(&story);
	dies(&story, 101);
	pass(&story);
	worked(lives(&story, 101, 100, 100), 5, 0);
	pass(&story);
	in_tree(&story, 101, 1);
	in_tree(&story, 100, 3);
	assert_int_equal(story.tree.cpu_ticks, 10); /* the same 5, told twice */
	end(&story);
}

static void test_without_its_root_a_tree_is_empty(void **state)
{
	struct story story;
	struct yarn_decision decision;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	lives(&story, 101, 100, 100);
	pass(&story);
	pass(&story);
	dies(&story, 100);
	pass(&story);
	assert_int_equal(story.tree.count, 0);
	assert_int_equal(yarn_tree_vmem(&story.tree, 0), 0);
	decision = yarn_decide(&story.tree, YARN_STAT, 1, 1);
	assert_true(decision.skipped);
	assert_false(yarn_kills(&decision));

	lives(&story, 100, 1, 100);
	pass(&story);
	in_tree(&story, 100, 1);
	in_tree(&story, 101, 1);
	end(&story);
}

/* --- figures at the edge ------------------------------------------------------------------ */

static void test_times_at_the_edge(void **state)
{
	struct story story;

	begin(&story, 100);
	worked(lives(&story, 100, 1, 100), INT64_MAX, 0);
	worked(lives(&story, 101, 100, 100), INT64_MAX, 1); /* more than a long: 0 */
	worked(lives(&story, 102, 100, 100), UINT64_MAX, UINT64_MAX);
	pass(&story);
	assert_int_equal(yarn_tree_find(&story.tree, 100)->delta_ticks, INT64_MAX);
	assert_int_equal(yarn_tree_find(&story.tree, 101)->delta_ticks, 0);
	assert_int_equal(yarn_tree_find(&story.tree, 102)->delta_ticks, 0);
	worked(&story.all[1], 0, 0);
	pass(&story);
	end(&story);
}

static void test_sums_do_not_overflow(void **state)
{
	static const struct procfs_mapping huge = {.permissions = "rw-p",
						   .pss = INT64_MAX,
						   .shared_dirty = INT64_MAX,
						   .private_dirty = INT64_MAX,
						   .anonymous = INT64_MAX};
	struct story story;

	begin(&story, 100);
	for (pid_t pid = 100; pid < 104; pid++) {
		struct procfs_stat *stat = lives(&story, pid, pid - 1, 100);

		stat->vsize_bytes = UINT64_MAX / 2;
		stat->rss_bytes = INT64_MAX;
	}
	pass(&story);
	yarn_process_mappings(&story.tree.processes[0], &huge, 1);
	yarn_process_mappings(&story.tree.processes[1], &huge, 1);
	assert_true(yarn_tree_vmem(&story.tree, 0) == UINT64_MAX);
	assert_true(yarn_tree_memory(&story.tree, YARN_STAT, 0) == INT64_MAX);
	assert_true(yarn_tree_memory(&story.tree, YARN_SMAPS_2, 0) == INT64_MAX);
	assert_true(yarn_tree_memory(&story.tree, YARN_SMAPS_3, 0) == INT64_MAX);
	end(&story);
}

int main(void)
{
	const struct CMUnitTest yarn[] = {
		cmocka_unit_test(test_memory_and_cpu_time_of_a_tree),
		cmocka_unit_test(test_memory_of_those_who_are_older),
		cmocka_unit_test(test_an_orphan_is_found_by_its_session),
		cmocka_unit_test(test_init_is_nobodys_child),
		cmocka_unit_test(test_the_order_of_the_pids_means_nothing),
		cmocka_unit_test(test_circles_end),
		cmocka_unit_test(test_names_that_are_not_one_line_hide_a_process),
		cmocka_unit_test(test_a_root_that_hides_is_gone),
		cmocka_unit_test(test_a_recycled_pid_inherits_age_and_time),
		cmocka_unit_test(test_who_was_away_for_a_pass_is_young_again),
		cmocka_unit_test(test_without_its_root_a_tree_is_empty),
		cmocka_unit_test(test_times_at_the_edge),
		cmocka_unit_test(test_sums_do_not_overflow),
	};

	return cmocka_run_group_tests(yarn, NULL, NULL);
}

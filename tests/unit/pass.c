// SPDX-License-Identifier: GPL-2.0-only
/* What YARN's monitor would reckon of a tree that the maps show, pass by pass. */
#include "story.h"

#include "pass.h"
#include "procfs.h"

/* One pass over what the story says now. */
static struct yarn_decision passed(struct story *story, struct yarn_tree *passes, uint64_t limit,
				   uint64_t vmem_limit)
{
	read_out(story);
	assert_int_equal(pass_make(&story->model, tree_of(story, 1), passes), 0);
	end(story);
	return yarn_decide(passes, YARN_STAT, limit, vmem_limit);
}

static void grows(struct story *story, uint64_t mm, int64_t anon)
{
	for (size_t i = 0; i < story->snapshot.space_count; i++)
		if (story->spaces[i].mm == mm)
			story->spaces[i].exact[MT_ANON] = anon;
}

static void test_the_first_pass_never_decides(void **state)
{
	struct yarn_tree passes = {};
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 500 * MB);
	assert_true(passed(&story, &passes, 100 * MB, 0).skipped);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).physical_memory, YARN_OVER_TWICE);
	yarn_tree_free(&passes);
}

/* A young process is exempt as a whole, but not from twice the limit. */
static void test_the_young_are_exempt(void **state)
{
	struct yarn_tree passes = {};
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 80 * MB);
	passed(&story, &passes, 100 * MB, 0);
	process_with(&story, 101, 100, 1, 60 * MB);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).physical_memory, YARN_WITHIN);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).physical_memory, YARN_OVER_AGED);
	grows(&story, 100, 150 * MB);
	process_with(&story, 102, 100, 1, MB);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).physical_memory, YARN_OVER_TWICE);
	yarn_tree_free(&passes);
}

/* An address space that two share counts twice, inherited memory in full. */
static void test_sums_are_raw(void **state)
{
	struct yarn_tree passes = {};
	struct story story;
	struct yarn_decision decision;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 40 * MB)->vmem = 90 * MB;
	process_lives(&story, 101, 100, 1, 100);
	process_with(&story, 102, 100, 1, 30 * MB)->space.inherited[MT_ANON] = 30 * MB;
	story.spaces[1].space.deadline = OPEN;
	decision = passed(&story, &passes, 100 * MB, 0);
	decision = passed(&story, &passes, 100 * MB, 0);
	assert_int_equal(decision.memory, 110 * MB);
	assert_int_equal(decision.vmem, 180 * MB);
	assert_int_equal(decision.physical_memory, YARN_OVER_AGED);
	decision = passed(&story, &passes, 200 * MB, 170 * MB);
	assert_int_equal(decision.virtual_memory, YARN_OVER_AGED);
	yarn_tree_free(&passes);
}

static void test_nobody_hides(void **state)
{
	struct yarn_tree passes = {};
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1);
	process_with(&story, 100, 1, 1, MB);
	process_with(&story, 101, 1, 1, 10 * MB);  /* an orphan in a session of its own */
	process_with(&story, 102, 99, 1, 10 * MB); /* of a parent who is no member */
	memcpy(story.processes[2].comm, "a\nb", 4);
	process_with(&story, 200, 100, 2, 10 * MB);
	zombie_waits(&story, 103, 100, 1);
	passed(&story, &passes, 100 * MB, 0);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).memory, 31 * MB);
	assert_int_equal(passes.count, 4);
	yarn_tree_free(&passes);
}

static void test_a_root_that_has_gone_ends_nothing(void **state)
{
	struct yarn_tree passes = {};
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 101, 1, 1, 150 * MB);
	passed(&story, &passes, 100 * MB, 0);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).physical_memory, YARN_OVER_AGED);
	assert_int_equal(passed(&story, &passes, 100 * MB, 0).memory, 150 * MB);
	yarn_tree_free(&passes);
}

/* The same decisions as of the monitor itself, as long as nobody hides from that. */
static void test_as_the_monitor_reckons(void **state)
{
	static const int64_t sizes[][3] = {
		{10, 0, 0}, {10, 50, 0}, {10, 90, 0}, {10, 95, 60}, {120, 95, 60}, {5, 0, 60},
	};
	struct yarn_tree passes = {}, monitor = {.root = 100};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct procfs_stat stats[3] = {};
		struct yarn_decision ours, theirs;
		struct story story;
		size_t count = 0;

		begin(&story);
		tree_opens(&story, 1, 0);
		for (uint32_t j = 0; j < 3; j++) {
			if (!sizes[i][j])
				continue;
			process_with(&story, 100 + j, j ? 100 : 1, 1, sizes[i][j] * MB);
			stats[count++] = (struct procfs_stat){.pid = (pid_t)(100 + j),
							      .ppid = j ? 100 : 1,
							      .session = 100,
							      .rss_bytes = sizes[i][j] * MB};
		}
		ours = passed(&story, &passes, 100 * MB, 0);
		assert_int_equal(yarn_tree_update(&monitor, stats, count), 0);
		theirs = yarn_decide(&monitor, YARN_STAT, 100 * MB, 0);
		assert_int_equal(ours.skipped, theirs.skipped);
		assert_int_equal(ours.physical_memory, theirs.physical_memory);
		assert_int_equal(ours.memory, theirs.memory);
		assert_int_equal(ours.memory_aged, theirs.memory_aged);
	}
	yarn_tree_free(&passes);
	yarn_tree_free(&monitor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_pass_never_decides),
		cmocka_unit_test(test_the_young_are_exempt),
		cmocka_unit_test(test_sums_are_raw),
		cmocka_unit_test(test_nobody_hides),
		cmocka_unit_test(test_a_root_that_has_gone_ends_nothing),
		cmocka_unit_test(test_as_the_monitor_reckons),
	};

	return cmocka_run_group_tests_name("pass", tests, NULL, NULL);
}

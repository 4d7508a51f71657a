// SPDX-License-Identifier: GPL-2.0-only
/* What a snapshot means: cpu time, virtual size, cgroups. */
#include "story.h"

static void test_the_virtual_size_of_a_space_counts_once(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1);
	process_with(&story, 100, 1, 1, MB)->vmem = 70 * MB;
	process_lives(&story, 101, 100, 1, 100);
	process_with(&story, 200, 100, 2, MB)->vmem = 5 * MB;
	zombie_waits(&story, 102, 100, 1);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->vmem, 75 * MB);
	assert_int_equal(tree_of(&story, 2)->vmem, 5 * MB);
	assert_int_equal(process_of(&story, 100)->vmem, 70 * MB);
	assert_int_equal(process_of(&story, 101)->vmem, 70 * MB);
	assert_int_equal(process_of(&story, 102)->vmem, 0);
	end(&story);
}

static void test_cpu_time_is_of_the_living_and_of_the_ended(void **state)
{
	struct story story;
	struct mt_process_record *process;

	begin(&story);
	tree_opens(&story, 1, 0)->totals_after.ended_cpu_ns = 1000;
	tree_opens(&story, 2, 1)->totals_after.ended_cpu_ns = 400;
	process = process_lives(&story, 100, 1, 1, 100);
	process->cpu_ns = 30;
	process->ended_cpu_ns = 7;
	process_lives(&story, 200, 1, 2, 200)->cpu_ns = 5;
	read_out(&story);

	assert_int_equal(process_of(&story, 100)->cpu_ns, 37);
	assert_int_equal(process_of(&story, 200)->cpu_ns, 5);
	assert_int_equal(tree_of(&story, 1)->cpu_ns, 1042);
	assert_int_equal(tree_of(&story, 2)->cpu_ns, 405);
	end(&story);
}

/* It tells its own until it is freed. */
static void test_cpu_time_of_a_zombie(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0)->totals_after.ended_cpu_ns = 1000;
	tree_opens(&story, 2, 1);
	zombie_waits(&story, 201, 1, 2)->cpu_ns = 330;
	read_out(&story);

	assert_int_equal(process_of(&story, 201)->cpu_ns, 330);
	assert_int_equal(tree_of(&story, 1)->cpu_ns, 1330);
	assert_int_equal(tree_of(&story, 2)->cpu_ns, 330);
	end(&story);
}

static void test_cpu_time_of_one_seen_alive_and_dead(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0)->totals_after.ended_cpu_ns = 1000;
	process_lives(&story, 101, 1, 1, 101)->cpu_ns = 300;
	zombie_waits(&story, 101, 1, 1)->cpu_ns = 320;
	zombie_waits(&story, 101, 1, 1)->cpu_ns = 320;
	read_out(&story);

	assert_false(process_of(&story, 101)->zombie);
	assert_int_equal(process_of(&story, 101)->cpu_ns, 320);
	assert_int_equal(tree_of(&story, 1)->cpu_ns, 1320);
	end(&story);
}

/* Its parent has reaped it, its task is still there: only its time matters. */
static void test_a_reaped_zombie_is_not_shown(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	zombie_waits(&story, 101, 1, 1)->cpu_ns = 25;
	story.zombies[0].reaped = 1;
	read_out(&story);

	assert_int_equal(story.model.process_count, 0);
	assert_int_equal(tree_of(&story, 1)->zombies, 0);
	assert_int_equal(tree_of(&story, 1)->cpu_ns, 25);
	end(&story);
}

/* The bounded walk gave up: a pass over all threads has the living, the process the gone. */
static void test_cpu_time_of_a_large_group(void **state)
{
	struct story story;
	struct mt_process_record *large;

	begin(&story);
	tree_opens(&story, 1, 0);
	large = process_lives(&story, 100, 1, 1, 0);
	large->threads = 3;
	large->threads_read = 2;
	large->cpu_ns = 20;
	large->ended_cpu_ns = 1000;
	for (int i = 0; i < 3; i++) {
		thread_keeps(&story, 100, 0);
		story.threads[i].cpu_ns = 10;
	}
	thread_keeps(&story, 999, 0);
	story.threads[3].cpu_ns = 77;
	read_out(&story);

	assert_int_equal(process_of(&story, 100)->cpu_ns, 1030);
	assert_false(tree_of(&story, 1)->inexact);
	end(&story);
}

static void test_a_cgroup_is_its_guides(void **state)
{
	static struct mt_cgroup_record records[] = {
		{.tgid = 100, .level = 0, .name = "inner"},
		{.tgid = 100, .level = 1, .name = "outer"},
		{.tgid = 100, .level = 2, .end = MT_CGROUP_WHOLE},
	};
	struct story story;

	begin(&story);
	story.snapshot.cgroups = records;
	story.snapshot.cgroup_count = COUNT(records);
	tree_opens(&story, 1, 0)->guide_tgid = 100;
	tree_opens(&story, 2, 0)->guide_tgid = 200;
	tree_opens(&story, 3, 0);
	read_out(&story);

	assert_string_equal(tree_of(&story, 1)->cgroup, "/outer/inner");
	assert_null(tree_of(&story, 2)->cgroup);
	assert_null(tree_of(&story, 3)->cgroup);
	end(&story);
}

/* Of a reading of one tree: what it lies in is known by name, and is not there. */
static void test_one_tree_knows_what_it_lies_in(void **state)
{
	struct story story;

	(void)state;
	begin(&story);
	tree_opens(&story, 2, 1);
	tree_opens(&story, 3, 2);
	process_with(&story, 300, 1, 3, MB);
	story.snapshot.wanted = 2;
	story.snapshot.around.id = 1;
	snprintf(story.snapshot.around.name, sizeof(story.snapshot.around.name), "around");
	read_out(&story);
	assert_int_equal(story.model.tree_count, 2);
	assert_int_equal(model_parent(&story.model, tree_of(&story, 2)), 1);
	assert_int_equal(model_parent(&story.model, tree_of(&story, 3)), 2);
	assert_string_equal(story.model.around_name, "around");
	assert_int_equal(tree_of(&story, 2)->processes, 1);
	end(&story);
	/* Around it nothing shows: a hidden tree, or none. */
	story.snapshot.around.id = 0;
	read_out(&story);
	assert_int_equal(model_parent(&story.model, tree_of(&story, 2)), 0);
	end(&story);
}

int main(void)
{
	const struct CMUnitTest figures[] = {
		cmocka_unit_test(test_the_virtual_size_of_a_space_counts_once),
		cmocka_unit_test(test_cpu_time_is_of_the_living_and_of_the_ended),
		cmocka_unit_test(test_cpu_time_of_a_zombie),
		cmocka_unit_test(test_cpu_time_of_one_seen_alive_and_dead),
		cmocka_unit_test(test_a_reaped_zombie_is_not_shown),
		cmocka_unit_test(test_cpu_time_of_a_large_group),
		cmocka_unit_test(test_a_cgroup_is_its_guides),
		cmocka_unit_test(test_one_tree_knows_what_it_lies_in),
	};

	return cmocka_run_group_tests(figures, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Who descends from whom, and what each subtree costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "charge.h"
#include "family.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MB (1ll << 20)
#define MOST 16
#define RSS MT_METRIC_RSS
#define ANON_ONLY (1U << MT_ANON)

/* A model with room for its rows; processes are written down in the order of start. */
struct story {
	struct tree trees[MOST];
	struct process processes[MOST];
	struct model model;
	struct family family;
};

static void begin(struct story *story)
{
	memset(story, 0, sizeof(*story));
	story->model.trees = story->trees;
	story->model.processes = story->processes;
}

static struct tree *tree_stands(struct story *story, uint32_t id, uint32_t parent)
{
	struct tree *tree = &story->trees[story->model.tree_count++];

	assert_true(story->model.tree_count <= MOST);
	tree->id = id;
	tree->parent = parent;
	tree->metric = RSS;
	return tree;
}

/* Of tree 1, with an address space of its own. */
static struct process *process_lives(struct story *story, uint32_t tgid, uint32_t ppid,
				     int64_t anon)
{
	struct process *process = &story->processes[story->model.process_count++];

	assert_true(story->model.process_count <= MOST);
	process->tgid = tgid;
	process->ppid = ppid;
	process->tree = 1;
	process->start_boot_ns = 1000 + story->model.process_count;
	process->bytes[MT_ANON] = anon;
	process->mm = tgid;
	process->state = 'S';
	return process;
}

static struct process *zombie_waits(struct story *story, uint32_t tgid, uint32_t ppid)
{
	struct process *process = process_lives(story, tgid, ppid, 0);

	process->mm = 0;
	process->state = 'Z';
	process->zombie = true;
	return process;
}

static void draw(struct story *story, uint32_t tree)
{
	const struct tree *drawn = model_find(&story->model, tree);

	assert_int_equal(family_build(&story->model, drawn, &story->family), 0);
}

static const struct member *member_of(const struct story *story, uint32_t tgid)
{
	for (size_t i = 0; i < story->family.count; i++)
		if (story->family.members[i].process->tgid == tgid)
			return &story->family.members[i];
	fail_msg("process %u is no member", tgid);
	return NULL;
}

static void costs(const struct story *story, uint32_t tgid, int64_t own, int64_t total)
{
	assert_int_equal(member_of(story, tgid)->own, own);
	assert_int_equal(member_of(story, tgid)->total, total);
}

/* 0: at the top. */
static void descends(const struct story *story, uint32_t tgid, uint32_t from)
{
	const struct member *parent = member_of(story, tgid)->parent;

	assert_int_equal(parent ? parent->process->tgid : 0, from);
}

static void end(struct story *story)
{
	family_free(&story->family);
	assert_null(story->family.members);
	assert_int_equal(story->family.count, 0);
	family_free(&story->family);
}

static void test_an_empty_tree(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	draw(&story, 1);
	assert_int_equal(story.family.count, 0);
	end(&story);
}

/* 10 -> 11 -> 13, 10 -> 12 */
static void test_totals_include_all_descendants(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 11, 10, 2 * MB);
	process_lives(&story, 12, 10, 4 * MB);
	process_lives(&story, 13, 11, 8 * MB);
	draw(&story, 1);

	assert_int_equal(story.family.count, 4);
	costs(&story, 10, 1 * MB, 15 * MB);
	costs(&story, 11, 2 * MB, 10 * MB);
	costs(&story, 12, 4 * MB, 4 * MB);
	costs(&story, 13, 8 * MB, 8 * MB);
	descends(&story, 10, 0);
	descends(&story, 11, 10);
	descends(&story, 12, 10);
	descends(&story, 13, 11);
	end(&story);
}

static void test_a_long_line_of_descent(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	for (uint32_t i = 0; i < MOST; i++)
		process_lives(&story, 10 + i, 9 + i, MB);
	draw(&story, 1);

	for (uint32_t i = 0; i < MOST; i++) {
		costs(&story, 10 + i, MB, (MOST - i) * MB);
		descends(&story, 10 + i, i ? 9 + i : 0);
	}
	end(&story);
}

static void test_the_largest_total_comes_first(void **state)
{
	static const uint32_t expected[] = {10, 13, 11, 12, 14, 15};
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 11, 10, 5 * MB);
	process_lives(&story, 12, 10, 5 * MB); /* as much as 11, but younger */
	process_lives(&story, 13, 10, 6 * MB);
	process_lives(&story, 14, 10, 0);
	process_lives(&story, 15, 10, 0);
	draw(&story, 1);

	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(story.family.members[i].process->tgid, expected[i]);
	end(&story);
}

/* vfork: the first user bears the cost, once. */
static void test_a_shared_address_space_counts_once(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 100 * MB);
	process_lives(&story, 11, 10, 100 * MB)->mm = 10;
	process_lives(&story, 12, 11, 100 * MB)->mm = 10;
	process_lives(&story, 13, 11, 7 * MB);
	draw(&story, 1);

	costs(&story, 10, 100 * MB, 107 * MB);
	costs(&story, 11, 0, 7 * MB);
	costs(&story, 12, 0, 0);
	end(&story);
}

/* Otherwise the first zombie would be the only "user" of address space 0. */
static void test_zombies_cost_nothing_and_hide_nobody(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	zombie_waits(&story, 11, 10);
	zombie_waits(&story, 12, 10)->mm = 13; /* whatever it had */
	process_lives(&story, 13, 10, 2 * MB);
	draw(&story, 1);

	costs(&story, 10, 1 * MB, 3 * MB);
	costs(&story, 11, 0, 0);
	costs(&story, 12, 0, 0);
	costs(&story, 13, 2 * MB, 2 * MB);
	descends(&story, 11, 10);
	end(&story);
}

/* Its parent died and init took it: it is drawn at the top, beside the root. */
static void test_an_orphan_stands_at_the_top(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 12, 1, 2 * MB)->orphan = true;
	process_lives(&story, 13, 12, 4 * MB);
	draw(&story, 1);

	descends(&story, 12, 0);
	descends(&story, 13, 12);
	costs(&story, 10, 1 * MB, 1 * MB);
	costs(&story, 12, 2 * MB, 6 * MB);
	end(&story);
}

/* A subreaper within the tree adopts: the adopted counts for it. */
static void test_an_orphan_adopted_by_a_member(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 12, 10, 2 * MB)->orphan = true;
	draw(&story, 1);

	descends(&story, 12, 10);
	costs(&story, 10, 1 * MB, 3 * MB);
	end(&story);
}

/* The parent's pid now belongs to a younger process: that is nobody's parent. */
static void test_a_reused_pid_is_no_parent(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 12, 11, 2 * MB);
	process_lives(&story, 11, 10, 4 * MB);
	draw(&story, 1);

	descends(&story, 12, 0);
	descends(&story, 11, 10);
	costs(&story, 11, 4 * MB, 4 * MB);
	costs(&story, 10, 1 * MB, 5 * MB);
	end(&story);
}

/* Two that each claim the other as parent, by a pid used again: no endless circle. */
static void test_two_that_claim_each_other(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 11, 1 * MB);
	process_lives(&story, 11, 10, 2 * MB);
	draw(&story, 1);

	descends(&story, 10, 0);
	descends(&story, 11, 10);
	costs(&story, 10, 1 * MB, 3 * MB);
	end(&story);
}

static void test_nobody_is_its_own_parent(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 10, 1 * MB);
	draw(&story, 1);

	descends(&story, 10, 0);
	costs(&story, 10, 1 * MB, 1 * MB);
	end(&story);
}

/* A coarse clock gives a quick fork the same start. */
static void test_a_child_of_the_same_nanosecond(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 11, 10, 2 * MB)->start_boot_ns = 1001;
	draw(&story, 1);

	descends(&story, 11, 10);
	costs(&story, 10, 1 * MB, 3 * MB);
	end(&story);
}

/* Tree 2 within tree 1, tree 3 beside. */
static void test_members_of_inner_trees_belong(void **state)
{
	struct story story;

	begin(&story);
	tree_stands(&story, 1, 0);
	tree_stands(&story, 2, 1);
	tree_stands(&story, 3, 0);
	process_lives(&story, 10, 1, 1 * MB);
	process_lives(&story, 20, 10, 2 * MB)->tree = 2;
	process_lives(&story, 21, 20, 4 * MB)->tree = 2;
	process_lives(&story, 30, 10, 8 * MB)->tree = 3;
	draw(&story, 1);

	assert_int_equal(story.family.count, 3);
	costs(&story, 10, 1 * MB, 7 * MB);
	descends(&story, 20, 10);
	end(&story);

	draw(&story, 2);
	assert_int_equal(story.family.count, 2);
	costs(&story, 20, 2 * MB, 6 * MB);
	descends(&story, 20, 0);
	end(&story);
}

static void test_the_metric_and_the_exemption_apply(void **state)
{
	struct story story;
	struct process *process;

	begin(&story);
	tree_stands(&story, 1, 0)->metric = ANON_ONLY;
	process_lives(&story, 10, 1, 1 * MB);
	process = process_lives(&story, 11, 10, 30 * MB);
	process->bytes[MT_FILE] = 500 * MB;
	process->bytes[MT_SWAP] = 600 * MB;
	process->exempt[MT_ANON] = 10 * MB;
	draw(&story, 1);

	costs(&story, 11, 20 * MB, 20 * MB);
	costs(&story, 10, 1 * MB, 21 * MB);
	end(&story);
}

/*
 * The outer tree counts anonymous memory, the inner one all: the exemption is to be
 * measured by the metric of the tree that is drawn, so that its totals are its charge.
 */
static void test_the_totals_of_a_tree_are_its_charge(void **state)
{
	struct tree_reading trees[] = {
		{.registration = {.id = 1, .name = "outer"},
		 .settings = {.id = 1, .metric = ANON_ONLY}},
		{.registration = {.id = 2, .name = "inner"},
		 .settings = {.id = 2, .parent = 1, .metric = RSS}},
	};
	struct mt_space_record spaces[] = {
		{.mm = 10, .exact = {[MT_ANON] = 4 * MB}, .space = {.tree = 1}},
		{.mm = 20,
		 .exact = {[MT_ANON] = 3 * MB, [MT_FILE] = 50 * MB},
		 .space = {.tree = 2,
			   .deadline = 1,
			   .inherited = {[MT_ANON] = MB, [MT_FILE] = 50 * MB}}},
	};
	struct mt_process_record processes[] = {
		{.tgid = 10, .tree = 1, .mm = 10, .start_boot_ns = 1, .leader_known = 1},
		{.tgid = 20,
		 .ppid = 10,
		 .tree = 2,
		 .mm = 20,
		 .start_boot_ns = 2,
		 .leader_known = 1},
	};
	struct snapshot snapshot = {
		.trees = trees,
		.tree_count = COUNT(trees),
		.spaces = spaces,
		.space_count = COUNT(spaces),
		.processes = processes,
		.process_count = COUNT(processes),
	};
	struct story story = {};

	assert_int_equal(model_build(&snapshot, &story.model), 0);
	assert_int_equal(model_find(&story.model, 1)->charged, 6 * MB);
	assert_int_equal(model_find(&story.model, 2)->charged, 2 * MB);

	draw(&story, 2);
	costs(&story, 20, 2 * MB, 2 * MB);
	end(&story);
	draw(&story, 1);
	costs(&story, 20, 2 * MB, 2 * MB);
	costs(&story, 10, 4 * MB, 6 * MB);
	end(&story);
	model_free(&story.model);
}

int main(void)
{
	const struct CMUnitTest family[] = {
		cmocka_unit_test(test_an_empty_tree),
		cmocka_unit_test(test_totals_include_all_descendants),
		cmocka_unit_test(test_a_long_line_of_descent),
		cmocka_unit_test(test_the_largest_total_comes_first),
		cmocka_unit_test(test_a_shared_address_space_counts_once),
		cmocka_unit_test(test_zombies_cost_nothing_and_hide_nobody),
		cmocka_unit_test(test_an_orphan_stands_at_the_top),
		cmocka_unit_test(test_an_orphan_adopted_by_a_member),
		cmocka_unit_test(test_a_reused_pid_is_no_parent),
		cmocka_unit_test(test_two_that_claim_each_other),
		cmocka_unit_test(test_nobody_is_its_own_parent),
		cmocka_unit_test(test_a_child_of_the_same_nanosecond),
		cmocka_unit_test(test_members_of_inner_trees_belong),
		cmocka_unit_test(test_the_metric_and_the_exemption_apply),
		cmocka_unit_test(test_the_totals_of_a_tree_are_its_charge),
	};

	return cmocka_run_group_tests(family, NULL, NULL);
}

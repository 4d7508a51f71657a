// SPDX-License-Identifier: GPL-2.0-only
/* Which trees a reading of one tree is of, and at which places it looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scope.h"

#define SLOTS 16

/* Tree `id` stands in its slot, inside `parent`. */
static void open_tree(struct mt_settings *settings, uint32_t id, uint32_t parent)
{
	settings[id & (SLOTS - 1)].id = id;
	settings[id & (SLOTS - 1)].parent = parent;
}

static void test_one_tree_has_those_inside_it(void **state)
{
	struct mt_settings settings[SLOTS] = {};
	struct scope scope;

	(void)state;
	open_tree(settings, 17, 0);
	open_tree(settings, 2, 17);
	open_tree(settings, 3, 2);
	open_tree(settings, 4, 0);
	open_tree(settings, 5, 1); /* an earlier tree of that slot */
	assert_int_equal(scope_choose(settings, SLOTS, 2, &scope), 0);
	assert_int_equal(scope.count, 2);
	assert_true(scope_has(&scope, 2));
	assert_true(scope_has(&scope, 3));
	assert_false(scope_has(&scope, 17));
	assert_false(scope_has(&scope, 4));
	scope_free(&scope);
	assert_int_equal(scope_choose(settings, SLOTS, 17, &scope), 0);
	assert_int_equal(scope.count, 3);
	assert_false(scope_has(&scope, 5));
	/* The slot alone is not the tree. */
	assert_false(scope_has(&scope, 1));
	assert_false(scope_has(&scope, 33));
	assert_false(scope_has(&scope, 0));
	scope_free(&scope);
	assert_int_equal(scope_choose(settings, SLOTS, 1, &scope), 0);
	assert_int_equal(scope.count, 0);
	scope_free(&scope);
}

static void test_parents_are_followed_so_far(void **state)
{
	struct mt_settings settings[SLOTS] = {};
	struct scope scope;

	(void)state;
	for (uint32_t id = 1; id < SLOTS; id++)
		open_tree(settings, id, id - 1);
	assert_int_equal(scope_choose(settings, SLOTS, 1, &scope), 0);
	assert_int_equal(scope.count, MT_DEPTH);
	scope_free(&scope);
	/* Two that name each other are no end. */
	open_tree(settings, 1, 2);
	assert_int_equal(scope_choose(settings, SLOTS, 9, &scope), 0);
	assert_int_equal(scope.count, SLOTS - 9);
	scope_free(&scope);
}

static void test_places_are_those_of_its_trees(void **state)
{
	static const uint32_t trees[] = {0, 2, 17, 0, 3, 4, 2, 99, 18};
	const uint32_t count = sizeof(trees) / sizeof(trees[0]);
	struct mt_settings settings[SLOTS] = {};
	uint32_t places[sizeof(trees) / sizeof(trees[0])];
	struct scope scope;

	(void)state;
	open_tree(settings, 17, 0);
	open_tree(settings, 2, 17);
	open_tree(settings, 3, 2);
	open_tree(settings, 4, 0);
	assert_int_equal(scope_choose(settings, SLOTS, 2, &scope), 0);
	assert_int_equal(scope_places(&scope, trees, count, places), 3);
	assert_int_equal(places[0], 1);
	assert_int_equal(places[1], 4);
	assert_int_equal(places[2], 6);
	scope_drop(&scope, 3);
	scope_drop(&scope, 3);
	assert_int_equal(scope.count, 1);
	assert_int_equal(scope_places(&scope, trees, count, places), 2);
	scope_free(&scope);
	/* Of all trees, what names none that is open, too. */
	assert_int_equal(scope_choose(settings, SLOTS, 0, &scope), 0);
	assert_int_equal(scope.count, 4);
	assert_int_equal(scope_places(&scope, trees, count, places), 7);
	assert_int_equal(places[5], 7);
	scope_free(&scope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_tree_has_those_inside_it),
		cmocka_unit_test(test_parents_are_followed_so_far),
		cmocka_unit_test(test_places_are_those_of_its_trees),
	};

	return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}

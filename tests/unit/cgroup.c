// SPDX-License-Identifier: GPL-2.0-only
/* Who stands for a tree, and the path of its cgroup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cgroup.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void path_is(const struct mt_cgroup_record *records, size_t count, uint32_t tgid,
		    const char *expected)
{
	char *path = cgroup_path(records, count, tgid);

	if (expected) {
		assert_non_null(path);
		assert_string_equal(path, expected);
	} else {
		assert_null(path);
	}
	free(path);
}

static void test_paths(void **state)
{
	static const struct mt_cgroup_record records[] = {
		{.tgid = 5, .level = 0, .name = "libpod-xyz"},
		{.tgid = 5, .level = 1, .name = "libpod_parent"},
		{.tgid = 5, .level = 2, .end = MT_CGROUP_WHOLE},
		{.tgid = 6, .level = 0, .end = MT_CGROUP_WHOLE},
		{.tgid = 7, .level = 0, .name = "a\n\033[2J"},
		{.tgid = 7, .level = 1, .end = MT_CGROUP_WHOLE},
		{.tgid = 8, .level = 0, .name = "deep"},
		{.tgid = 8, .level = 1, .end = MT_CGROUP_CUT},
	};

	path_is(records, COUNT(records), 5, "/libpod_parent/libpod-xyz");
	path_is(records, COUNT(records), 6, "/");
	path_is(records, COUNT(records), 7, "/a\n\033[2J");
	path_is(records, COUNT(records), 8, ".../deep");
	path_is(records, COUNT(records), 9, NULL);
	path_is(NULL, 0, 5, NULL);
}

/* A guide that moved while it was read has no end; it may follow whole under another tree. */
static void test_a_path_without_its_end(void **state)
{
	static const struct mt_cgroup_record records[] = {
		{.tgid = 5, .level = 0, .name = "old"},
		{.tgid = 5, .level = 1, .name = "gone"},
		{.tgid = 6, .level = 0, .name = "x"},
		{.tgid = 6, .level = 1, .end = MT_CGROUP_WHOLE},
		{.tgid = 5, .level = 0, .name = "new"},
		{.tgid = 5, .level = 1, .end = MT_CGROUP_WHOLE},
	};

	path_is(records, COUNT(records), 5, "/new");
	path_is(records, 4, 5, NULL);
	path_is(records, 4, 6, "/x");
}

static void test_records_that_make_no_sense(void **state)
{
	static const struct mt_cgroup_record records[] = {
		{.tgid = 5, .level = 3, .end = MT_CGROUP_WHOLE},
		{.tgid = 6, .level = 1, .name = "no first"},
		{.tgid = 6, .level = 2, .end = MT_CGROUP_WHOLE},
		{.tgid = 7, .level = 0, .name = "a"},
		{.tgid = 7, .level = 0xffffffff, .end = MT_CGROUP_WHOLE},
	};

	for (uint32_t tgid = 5; tgid <= 7; tgid++)
		path_is(records, COUNT(records), tgid, NULL);
}

static void test_the_deepest_path_of_the_longest_names(void **state)
{
	static struct mt_cgroup_record records[MT_CGROUP_LEVELS + 1];
	char *path;

	for (uint32_t i = 0; i < MT_CGROUP_LEVELS; i++) {
		records[i].tgid = 5;
		records[i].level = i;
		memset(records[i].name, 'n', sizeof(records[i].name)); /* without its NUL */
	}
	records[MT_CGROUP_LEVELS].tgid = 5;
	records[MT_CGROUP_LEVELS].level = MT_CGROUP_LEVELS;
	records[MT_CGROUP_LEVELS].end = MT_CGROUP_CUT;
	path = cgroup_path(records, COUNT(records), 5);
	assert_non_null(path);
	assert_int_equal(strlen(path), 3 + MT_CGROUP_LEVELS * (MT_CGROUP_NAME + 1));
	free(path);
}

static struct mt_process_record lives(uint32_t tgid, uint32_t tree, uint64_t start)
{
	return (struct mt_process_record){
		.tgid = tgid, .tree = tree, .start_boot_ns = start, .leader_known = 1};
}

static void test_the_root_stands_for_its_tree(void **state)
{
	const struct mt_process_record processes[] = {lives(101, 1, 5), lives(100, 1, 9),
						      lives(200, 2, 20), lives(102, 1, 3)};
	struct cgroup_tree trees[] = {
		{.id = 1, .root_tgid = 100}, {.id = 2, .parent = 1, .root_tgid = 200}, {.id = 3}};

	cgroup_guides_find(trees, COUNT(trees), processes, COUNT(processes));
	assert_int_equal(trees[0].guide_tgid, 100);
	assert_int_equal(trees[1].guide_tgid, 200);
	assert_int_equal(trees[2].guide_tgid, 0);
}

/* Members of trees inside are members; a leader that is not known can tell nothing. */
static void test_without_its_root_the_oldest_stands_for_it(void **state)
{
	struct mt_process_record processes[] = {lives(101, 1, 50), lives(200, 2, 20),
						lives(102, 1, 3), lives(900, 9, 1)};
	struct cgroup_tree trees[] = {{.id = 2, .parent = 1, .root_tgid = 201},
				      {.id = 1, .root_tgid = 100}};

	processes[2].leader_known = 0;
	cgroup_guides_find(trees, COUNT(trees), processes, COUNT(processes));
	assert_int_equal(trees[0].guide_tgid, 200);
	assert_int_equal(trees[1].guide_tgid, 200);
}

int main(void)
{
	const struct CMUnitTest cgroup[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_a_path_without_its_end),
		cmocka_unit_test(test_records_that_make_no_sense),
		cmocka_unit_test(test_the_deepest_path_of_the_longest_names),
		cmocka_unit_test(test_the_root_stands_for_its_tree),
		cmocka_unit_test(test_without_its_root_the_oldest_stands_for_it),
	};

	return cmocka_run_group_tests(cgroup, NULL, NULL);
}

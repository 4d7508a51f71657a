// SPDX-License-Identifier: GPL-2.0-only
/* The arithmetic of each number that people quote, and the sentences that settle it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quoted.h"
#include "runtimes.h"
#include "verdict.h"

#define MIB ((int64_t)1 << 20)

/* A story: the processes, their cgroup, and what is made of them. */
struct story {
	struct quoted_process processes[4];
	struct quoted_input quoted;
	struct cgroupfs_memory memory;
	struct runtimes_input runtimes;
	struct rows rows;
	struct verdict verdict;
};

static void figure_set(struct story *story, enum cgroupfs_field field, int64_t value)
{
	story->memory.figures[field] = (struct cgroupfs_figure){.value = (uint64_t)value};
}

/* A root of 10 MiB and a child of 20, in a cgroup of version 2 with nothing but usage. */
static struct story *story_begin(void)
{
	struct story *story = calloc(1, sizeof(*story));

	story->processes[0] = (struct quoted_process){.pid = 1000,
						      .is_root = true,
						      .map_rss = 10 * MIB,
						      .virt = 100 * MIB,
						      .res = 10 * MIB,
						      .shr = 2 * MIB,
						      .vsize = 100 * MIB,
						      .stat_rss = 10 * MIB,
						      .pss = 8 * MIB,
						      .uss = 7 * MIB,
						      .yarn2 = 9 * MIB,
						      .yarn3 = 6 * MIB};
	story->processes[1] = (struct quoted_process){.pid = 1001,
						      .map_rss = 20 * MIB,
						      .virt = 200 * MIB,
						      .res = 20 * MIB,
						      .shr = 3 * MIB,
						      .vsize = 200 * MIB,
						      .stat_rss = 19 * MIB,
						      .pss = 18 * MIB,
						      .uss = 17 * MIB,
						      .yarn2 = 19 * MIB,
						      .yarn3 = 16 * MIB};
	story->quoted = (struct quoted_input){
		.tree = {.metric = "rss",
			 .window_ns = 3000000000,
			 .charged = 30 * MIB,
			 .charged_after = 30 * MIB,
			 .peak = 40 * MIB,
			 .live_charged = 29 * MIB,
			 .error_bound = 2 * MIB,
			 .rss = 30 * MIB,
			 .processes = 2},
		.processes = story->processes,
		.count = 2,
	};
	story->memory = (struct cgroupfs_memory){.version = CGROUPFS_V2,
						 .path = (char *)(intptr_t) "/a",
						 .limit = {.unlimited = true}};
	for (int i = 0; i < CGROUPFS_FIELDS; i++)
		story->memory.figures[i].err = -ENOENT;
	figure_set(story, CGROUPFS_USAGE, 100 * MIB);
	story->runtimes = (struct runtimes_input){
		.charged = 30 * MIB, .memory = &story->memory, .members_in = 2};
	return story;
}

static void story_tell(struct story *story)
{
	story->rows = (struct rows){};
	quoted_rows(&story->quoted, &story->rows);
	runtimes_rows(&story->runtimes, &story->rows);
	verdict_find(&story->quoted, &story->runtimes, &story->verdict);
}

static const struct row *row(const struct story *story, const char *key)
{
	const struct row *found = row_find(&story->rows, key);

	if (!found)
		fail_msg("no row %s", key);
	return found;
}

static void row_is(const struct story *story, const char *key, int64_t expected)
{
	if (!row(story, key)->known || row(story, key)->value != expected)
		fail_msg("%s: %s %lld instead of %lld", key, row(story, key)->unknown,
			 (long long)row(story, key)->value, (long long)expected);
	assert_string_equal(row(story, key)->unknown, "");
}

static void row_is_unknown(const struct story *story, const char *key, const char *reason)
{
	assert_false(row(story, key)->known);
	if (!strstr(row(story, key)->unknown, reason))
		fail_msg("%s: '%s' has no '%s'", key, row(story, key)->unknown, reason);
}

static void note_has(const struct story *story, const char *key, const char *words)
{
	if (!strstr(row(story, key)->note, words))
		fail_msg("%s: '%s' has no '%s'", key, row(story, key)->note, words);
}

static bool verdict_has(const struct story *story, const char *words)
{
	for (size_t i = 0; i < story->verdict.count; i++)
		if (strstr(story->verdict.sentences[i], words))
			return true;
	return false;
}

/* --- memtree and /proc ------------------------------------------------------------------ */

static void test_keys_are_unique_and_everything_is_said(void **state)
{
	struct story *story = story_begin();

	story_tell(story);
	for (size_t i = 0; i < story->rows.count; i++) {
		const struct row *one = &story->rows.rows[i];

		assert_true(row_find(&story->rows, one->key) == one);
		assert_true(one->known || one->unknown[0]);
		assert_true(one->formula[0] && one->label[0] && one->group[0]);
	}
	assert_null(row_find(&story->rows, "nothing"));
	free(story);
}

static void test_what_memtree_has(void **state)
{
	struct story *story = story_begin();

	story->quoted.tree.inherited = 5 * MIB;
	story->quoted.tree.charged_after = 31 * MIB;
	story_tell(story);
	row_is(story, "charged", 30 * MIB);
	note_has(story, "charged", "31.0M at the end");
	row_is(story, "inherited", 5 * MIB);
	row_is(story, "live", 29 * MIB);
	note_has(story, "live", "at most 2.00M");
	note_has(story, "live", "1.00M less than charged");
	row_is(story, "peak", 40 * MIB);
	row_is(story, "rss", 30 * MIB);
	note_has(story, "rss", "as charged");
	free(story);
}

static void test_sums_of_processes(void **state)
{
	struct story *story = story_begin();

	story_tell(story);
	row_is(story, "top_virt", 100 * MIB);
	row_is(story, "top_res", 10 * MIB);
	row_is(story, "top_shr", 2 * MIB);
	note_has(story, "top_res", "1 processes are left out");
	row_is(story, "folk_res", 27 * MIB); /* 10 + 20 - 3 */
	row_is(story, "res_sum", 30 * MIB);
	row_is(story, "rss_sum", 29 * MIB);
	note_has(story, "rss_sum", "1.00M less");
	row_is(story, "vmem_sum", 300 * MIB);
	free(story);
}

static void test_a_vfork_child_counts_again(void **state)
{
	struct story *story = story_begin();

	story->processes[1].again = true;
	story->processes[1].map_rss = 10 * MIB;
	story->processes[1].res = story->processes[1].stat_rss = 10 * MIB;
	story->processes[1].pss = 8 * MIB;
	story->processes[1].yarn2 = 9 * MIB;
	story->quoted.tree.rss = story->quoted.tree.charged = 10 * MIB;
	story_tell(story);
	row_is(story, "rss_sum", 20 * MIB);
	note_has(story, "rss_sum", "10.0M counted again: 1 share an address space");
	row_is(story, "pss", 8 * MIB);
	row_is(story, "uss", 7 * MIB);
	row_is(story, "yarn_smaps_2", 18 * MIB); /* YARN counts it again */
	assert_true(verdict_has(story, "in another one's address space"));
	free(story);
}

static void test_a_main_thread_that_has_exited(void **state)
{
	struct story *story = story_begin();

	story->processes[0].leader_gone = true;
	story->processes[0].stat_rss = story->processes[0].vsize = 0;
	story_tell(story);
	row_is(story, "top_res", 10 * MIB);
	note_has(story, "top_res", "top shows 0");
	note_has(story, "top_virt", "top shows 0");
	note_has(story, "top_shr", "top shows 0");
	row_is(story, "rss_sum", 19 * MIB);
	note_has(story, "rss_sum", "10.0M of 1 are missed");
	row_is(story, "res_sum", 30 * MIB);
	free(story);
}

static void test_a_root_that_has_ended(void **state)
{
	struct story *story = story_begin();

	story->quoted.processes = &story->processes[1];
	story->quoted.count = 1;
	story_tell(story);
	row_is(story, "top_res", 20 * MIB);
	note_has(story, "top_res", "the root has ended: this is of 1001");
	row_is(story, "folk_res", 20 * MIB);
	row_is(story, "res_sum", 20 * MIB);
	story->quoted.count = 0;
	story_tell(story);
	row_is_unknown(story, "top_res", "no live process");
	row_is(story, "res_sum", 0);
	free(story);
}

static void test_a_part_is_never_shown_as_the_sum(void **state)
{
	struct story *story = story_begin();

	story->processes[1].err = -EACCES;
	story_tell(story);
	row_is(story, "top_res", 10 * MIB);
	row_is_unknown(story, "rss_sum", "1 of 2 processes read; 1001: Permission denied");
	row_is_unknown(story, "folk_res", "1 of 2");
	row_is_unknown(story, "vmem_sum", "1 of 2");
	story->processes[1].err = 0;
	story->processes[0].err = -EPROTO;
	story_tell(story);
	row_is_unknown(story, "top_res", "process 1000");
	row_is_unknown(story, "res_sum", "1 of 2");
	story->quoted.procfs_unknown = "another namespace";
	story_tell(story);
	row_is_unknown(story, "top_virt", "another namespace");
	row_is_unknown(story, "res_sum", "another namespace");
	row_is_unknown(story, "pss", "another namespace");
	free(story);
}

static void test_smaps(void **state)
{
	struct story *story = story_begin();

	story_tell(story);
	row_is(story, "pss", 26 * MIB);
	row_is(story, "uss", 24 * MIB);
	row_is(story, "yarn_smaps_2", 28 * MIB);
	row_is(story, "yarn_smaps_3", 22 * MIB);
	story->processes[1].smaps_err = -ETIMEDOUT;
	story_tell(story);
	row_is_unknown(story, "pss", "1 of 2 processes read; 1001: not in time");
	row_is_unknown(story, "yarn_smaps_3", "1 of 2");
	story->quoted.smaps_unknown = "not asked for";
	story_tell(story);
	row_is_unknown(story, "uss", "not asked for");
	free(story);
}

static void test_who_came_and_went(void **state)
{
	struct story *story = story_begin();

	story->quoted.ended = 2;
	story->quoted.began = 1;
	story_tell(story);
	note_has(story, "res_sum", "2 ended and 1 began meanwhile");
	note_has(story, "pss", "2 ended meanwhile");
	free(story);
}

/* --- the cgroup ------------------------------------------------------------------------- */

static void test_what_runtimes_show(void **state)
{
	struct story *story = story_begin();

	figure_set(story, CGROUPFS_INACTIVE_FILE, 60 * MIB);
	figure_set(story, CGROUPFS_ANON, 25 * MIB);
	story_tell(story);
	row_is(story, "usage", 100 * MIB);
	note_has(story, "usage", "70.0M more than charged");
	row_is(story, "working_set", 40 * MIB);
	row_is(story, "docker_stats", 40 * MIB);
	row_is(story, "podman_stats", 40 * MIB);
	row_is(story, "podman_stats_old", 25 * MIB);
	story->memory.version = CGROUPFS_V1;
	story_tell(story);
	row_is(story, "podman_stats_old", 100 * MIB);
	assert_non_null(strstr(row(story, "docker_stats")->formula, "total_inactive_file"));
	free(story);
}

/* Both are read one after the other: the part may be more than the whole. */
static void test_more_inactive_than_usage(void **state)
{
	struct story *story = story_begin();

	figure_set(story, CGROUPFS_INACTIVE_FILE, 101 * MIB);
	story_tell(story);
	row_is(story, "working_set", 0);
	row_is(story, "docker_stats", 100 * MIB);
	free(story);
}

static void test_what_is_missing_is_unknown_with_what_needs_it(void **state)
{
	struct story *story = story_begin();

	story->memory.figures[CGROUPFS_INACTIVE_FILE].err = -ENODATA;
	story_tell(story);
	row_is(story, "usage", 100 * MIB);
	row_is_unknown(story, "working_set", "no such line");
	row_is_unknown(story, "docker_stats", "no such line");
	row_is_unknown(story, "cgroup_cache", "no such file");
	story->memory.figures[CGROUPFS_USAGE].err = -EPROTO;
	figure_set(story, CGROUPFS_INACTIVE_FILE, 1);
	story_tell(story);
	row_is_unknown(story, "usage", "not as it should be");
	row_is_unknown(story, "working_set", "not as it should be");
	story->memory.figures[CGROUPFS_USAGE].err = -EACCES;
	story_tell(story);
	row_is_unknown(story, "usage", "Permission denied");
	free(story);
}

static void test_no_cgroup_at_all(void **state)
{
	struct story *story = story_begin();

	story->runtimes.memory = NULL;
	story->runtimes.unknown = story->runtimes.members_unknown = "none is mounted";
	story_tell(story);
	for (size_t i = 0; i < story->rows.count; i++)
		if (!strcmp(story->rows.rows[i].group, "cgroup"))
			assert_string_equal(story->rows.rows[i].unknown, "none is mounted");
	row_is(story, "res_sum", 30 * MIB);
	free(story);
}

static void test_the_root_cgroup(void **state)
{
	struct story *story = story_begin();

	story->memory.is_root = true;
	story->memory.path = (char *)(intptr_t) "/";
	story->memory.figures[CGROUPFS_USAGE].err = -ENOENT;
	story->runtimes.strangers = 100;
	story_tell(story);
	row_is_unknown(story, "usage", "the root cgroup");
	assert_false(verdict_has(story, "Prometheus"));
	assert_false(verdict_has(story, "not of this tree"));
	free(story);
}

static void test_limits(void **state)
{
	struct story *story = story_begin();

	story_tell(story);
	assert_true(row(story, "limit")->known && row(story, "limit")->unlimited);
	story->memory.limit = (struct cgroupfs_figure){.value = 128 * (uint64_t)MIB};
	story->memory.limit_path = (char *)(intptr_t) "/a";
	story->memory.figures[CGROUPFS_LIMIT] = story->memory.limit;
	story_tell(story);
	row_is(story, "limit", 128 * MIB);
	row_is(story, "cgroup_limit", 128 * MIB);
	note_has(story, "limit", "of this cgroup");
	assert_true(verdict_has(story, "Of its limit of 128M the cgroup uses 100M (78 %)"));
	story->memory.limit_path = (char *)(intptr_t) "/";
	story_tell(story);
	note_has(story, "limit", "further up");
	assert_true(verdict_has(story, "an enclosing cgroup's limit"));
	story->memory.limit_path = NULL;
	story_tell(story);
	note_has(story, "limit", "cannot be seen");
	story->memory.limit = (struct cgroupfs_figure){.err = -EPROTO};
	story_tell(story);
	row_is_unknown(story, "limit", "not as it should be");
	assert_false(verdict_has(story, "limit of"));
	free(story);
}

static void test_counts_are_counts(void **state)
{
	struct story *story = story_begin();

	figure_set(story, CGROUPFS_FAILURES, 7);
	figure_set(story, CGROUPFS_OOM_KILLS, 0);
	story->runtimes.strangers = 3;
	story->runtimes.members_out = 1;
	story_tell(story);
	row_is(story, "failures", 7);
	assert_int_equal(row(story, "failures")->unit, ROW_COUNT);
	row_is(story, "oom_kills", 0);
	row_is(story, "members_in", 2);
	row_is(story, "members_out", 1);
	row_is(story, "strangers", 3);
	assert_true(verdict_has(story, "met the limit 7 times"));
	assert_true(verdict_has(story, "3 processes of the cgroup are not of this tree"));
	assert_true(verdict_has(story, "1 of the tree's processes are in other cgroups"));
	figure_set(story, CGROUPFS_OOM_KILLS, 2);
	story_tell(story);
	assert_true(verdict_has(story, "OOM killer has killed 2"));
	assert_false(verdict_has(story, "met the limit"));
	free(story);
}

/* --- the verdict ------------------------------------------------------------------------ */

static void test_why_prometheus_shows_35_g_and_top_600_m(void **state)
{
	struct story *story = story_begin();

	story->quoted.tree.charged = story->quoted.tree.rss = 600 * MIB;
	figure_set(story, CGROUPFS_USAGE, 35 * 1024 * MIB);
	figure_set(story, CGROUPFS_CACHE, 34 * 1024 * MIB);
	figure_set(story, CGROUPFS_SHMEM, 1024 * MIB);
	figure_set(story, CGROUPFS_INACTIVE_FILE, 30 * 1024 * MIB);
	figure_set(story, CGROUPFS_DIRTY, 512 * MIB);
	story_tell(story);
	assert_true(verdict_has(story, "is 35.0G: 33.0G of it is page cache, of which the kernel "
				       "drops 30.0G first (inactive file); 512M of it is dirty"));
	assert_true(verdict_has(story, "charged 600M"));
	story->memory.limit = (struct cgroupfs_figure){.value = 40 * 1024 * (uint64_t)MIB};
	figure_set(story, CGROUPFS_ANON, 512 * MIB);
	figure_set(story, CGROUPFS_ACTIVE_FILE, 3 * 1024 * MIB);
	story_tell(story);
	assert_true(verdict_has(story, "(87 %): anonymous 512M, shmem 1.00G"));
	assert_true(verdict_has(story, "clean page cache alone does not kill"));
	figure_set(story, CGROUPFS_ACTIVE_FILE, 1024 * MIB);
	story_tell(story);
	assert_true(verdict_has(story, "2.00G of the page cache cannot be dropped"));
	assert_true(verdict_has(story, "1.00G of the cgroup is shmem"));
	/* Without the parts nothing is claimed of them. */
	story->memory.figures[CGROUPFS_SHMEM].err = -ENODATA;
	story_tell(story);
	assert_false(verdict_has(story, "page cache"));
	assert_false(verdict_has(story, "shmem"));
	free(story);
}

static void test_where_the_rest_went(void **state)
{
	struct story *story = story_begin();

	story->quoted.tree.orphans = 1;
	story->quoted.tree.orphan_bytes = 20 * MIB;
	story->quoted.tree.inherited = 4 * MIB;
	story_tell(story);
	note_has(story, "rss_sum", "YARN misses the orphans");
	assert_true(
		verdict_has(story, "root shows 10.0M; the tree's 1 other processes have 20.0M"));
	assert_true(verdict_has(story, "1 orphans"));
	assert_true(verdict_has(story, "4.00M is shared copy-on-write"));
	story->processes[0].leader_gone = true;
	story_tell(story);
	assert_true(verdict_has(story, "root shows 0;"));
	story->quoted.procfs_unknown = "not here";
	story_tell(story);
	assert_false(verdict_has(story, "root shows"));
	free(story);
}

static void test_a_quiet_tree_has_no_verdict(void **state)
{
	struct story *story = story_begin();

	story->quoted.count = 1;
	story_tell(story);
	assert_int_equal(story->verdict.count, 0);
	free(story);
}

static void test_no_text_is_too_long(void **state)
{
	struct story *story = story_begin();

	story->quoted.count = 4;
	for (int i = 0; i < 4; i++)
		story->processes[i] = (struct quoted_process){.pid = 4194304,
							      .leader_gone = true,
							      .again = i > 0,
							      .res = INT32_MAX,
							      .map_rss = INT32_MAX,
							      .is_root = !i};
	story->quoted.tree.inherited = INT64_MAX / 4;
	story->quoted.tree.rss = INT64_MAX / 4;
	story->quoted.ended = story->quoted.began = UINT32_MAX;
	story->quoted.tree.orphans = story->runtimes.strangers = UINT32_MAX;
	for (int i = 0; i < CGROUPFS_FIELDS; i++)
		figure_set(story, i, INT64_MAX - 1);
	story->memory.limit = story->memory.figures[CGROUPFS_LIMIT];
	story_tell(story);
	for (size_t i = 0; i < story->rows.count; i++) {
		assert_true(strlen(story->rows.rows[i].note) <
			    sizeof(story->rows.rows[i].note) - 1);
		assert_true(strlen(story->rows.rows[i].formula) <
			    sizeof(story->rows.rows[i].formula) - 1);
	}
	assert_true(story->verdict.count > 2);
	for (size_t i = 0; i < story->verdict.count; i++)
		assert_true(strlen(story->verdict.sentences[i]) < VERDICT_TEXT - 1);
	free(story);
}

int main(void)
{
	const struct CMUnitTest quoted[] = {
		cmocka_unit_test(test_keys_are_unique_and_everything_is_said),
		cmocka_unit_test(test_what_memtree_has),
		cmocka_unit_test(test_sums_of_processes),
		cmocka_unit_test(test_a_vfork_child_counts_again),
		cmocka_unit_test(test_a_main_thread_that_has_exited),
		cmocka_unit_test(test_a_root_that_has_ended),
		cmocka_unit_test(test_a_part_is_never_shown_as_the_sum),
		cmocka_unit_test(test_smaps),
		cmocka_unit_test(test_who_came_and_went),
		cmocka_unit_test(test_what_runtimes_show),
		cmocka_unit_test(test_more_inactive_than_usage),
		cmocka_unit_test(test_what_is_missing_is_unknown_with_what_needs_it),
		cmocka_unit_test(test_no_cgroup_at_all),
		cmocka_unit_test(test_the_root_cgroup),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_counts_are_counts),
		cmocka_unit_test(test_why_prometheus_shows_35_g_and_top_600_m),
		cmocka_unit_test(test_where_the_rest_went),
		cmocka_unit_test(test_a_quiet_tree_has_no_verdict),
		cmocka_unit_test(test_no_text_is_too_long),
	};

	return cmocka_run_group_tests(quoted, NULL, NULL);
}

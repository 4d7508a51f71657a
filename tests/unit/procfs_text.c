// SPDX-License-Identifier: GPL-2.0-only
/* Hostile stat and smaps, as text: cut, out of range, with names that pose as fields. */
#include "proc.h"

/* On the heap and without a NUL, so that whoever reads behind its end is caught. */
static int parse(const char *text, size_t length, struct procfs_stat *ret_stat)
{
	_cleanup_free_ char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	return procfs_stat_parse(copy, length, ret_stat);
}

static void test_a_stat(void **state)
{
	static const char text[] = "100 (java) S" AFTER_STATE;
	struct procfs_stat stat;

	assert_int_equal(parse(text, strlen(text), &stat), 0);
	assert_int_equal(stat.pid, 100);
	assert_string_equal(stat.comm, "java");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 7);
	assert_int_equal(stat.pgrp, 100);
	assert_int_equal(stat.session, 90);
	assert_int_equal(stat.utime_ticks, 11);
	assert_int_equal(stat.stime_ticks, 22);
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.start_ticks, 5555);
	assert_int_equal(stat.vsize_bytes, 4096000);
	assert_int_equal(stat.rss_bytes, 250 * PAGE);
}

static void test_names_that_pose_as_fields(void **state)
{
	static const char *const names[] = {
		"",
		" ",
		"(",
		")",
		"a b",
		"(sd-pam)",
		") R 1",
		") R 1 1 1 0 -1",
		"tmux: server",
		"a\nb",
		"\n",
		"\r\n",
		"1 (x) S 1",
		"\xff\xfe\x80",
		"\xc2\x85",
		"\033[2J",
		"))))((((",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct procfs_stat stat;
		char text[TEXT];

		snprintf(text, sizeof(text), "100 (%s)%s", names[i], AFTER_NAME);
		assert_int_equal(parse(text, strlen(text), &stat), 0);
		assert_string_equal(stat.comm, names[i]);
		assert_int_equal(stat.ppid, 7);
		assert_int_equal(stat.rss_bytes, 250 * PAGE);
	}
}

static void test_a_name_that_is_too_long_is_cut(void **state)
{
	char name[3 * PROCFS_COMM_SIZE], text[TEXT];
	struct procfs_stat stat;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), "100 (%s)%s", name, AFTER_NAME);
	assert_int_equal(parse(text, strlen(text), &stat), 0);
	assert_int_equal(strlen(stat.comm), PROCFS_COMM_SIZE - 1);
	assert_int_equal(stat.ppid, 7);
}

/* Wherever it is cut: refused, or nothing that is told is wrong. */
static void test_a_stat_that_is_cut(void **state)
{
	static const char text[] = "100 (a) b)" AFTER_NAME;
	size_t refused = 0;

	for (size_t length = 0; length < strlen(text); length++) {
		struct procfs_stat stat = {.pid = 5};
		int err = parse(text, length, &stat);

		if (err) {
			assert_int_equal(err, -EPROTO);
			assert_int_equal(stat.pid, 5);
			refused++;
			continue;
		}
		assert_string_equal(stat.comm, "a) b");
		assert_int_equal(stat.vsize_bytes, 4096000);
		assert_int_equal(stat.rss_bytes, 250 * PAGE);
	}
	assert_true(refused > strlen("100 (a) b) S 7 100 90 0 -1 4194304 1 2 3 4 11 22 33 44 20"));
}

static int parse_fields(const char *pid, const char *ppid, const char *utime, const char *threads,
			const char *rss)
{
	struct procfs_stat stat;
	char text[TEXT];

	snprintf(text, sizeof(text),
		 "%s (x) S %s 1 1 0 -1 0 0 0 0 0 %s 0 0 0 20 0 %s 0 5 6 %s "
		 "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
		 pid, ppid, utime, threads, rss);
	return parse(text, strlen(text), &stat);
}

static void test_numbers_out_of_range(void **state)
{
	assert_int_equal(parse_fields("1", "0", "0", "1", "0"), 0);
	assert_int_equal(parse_fields("2147483647", "1", "18446744073709551615", "4294967295", "9"),
			 0);
	assert_int_equal(parse_fields("2147483648", "1", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("0", "1", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("-1", "1", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("", "1", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "99999999999", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "x", "0", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "1", "18446744073709551616", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "1", "-1", "1", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "1", "0", "4294967296", "0"), -EPROTO);
	assert_int_equal(parse_fields("1", "1", "0", "1", "-1"), -EPROTO);
	assert_int_equal(parse_fields("1", "1", "0", "1", "9223372036854775807"), -EPROTO);
}

/* Its group and its session are gone before it is. */
static void test_a_process_that_is_being_released(void **state)
{
	static const char text[] = "9 (x) X 0 -1 -1 0 -1 4 0 0 0 0 0 0 0 0 20 0 0 0 5 0 0 "
				   "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
	struct procfs_stat stat;

	assert_int_equal(parse(text, strlen(text), &stat), 0);
	assert_int_equal(stat.pgrp, -1);
	assert_int_equal(stat.session, -1);
}

static int mappings_of(const char *text, struct procfs_mapping **ret_mappings, size_t *ret_count)
{
	size_t length = strlen(text);
	_cleanup_free_ char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	return procfs_mappings_parse(copy, length, ret_mappings, ret_count);
}

static void test_mappings(void **state)
{
	_cleanup_free_ struct procfs_mapping *mappings = NULL;
	size_t count;

	assert_int_equal(mappings_of(HEAD
				     "Size:                  4 kB\nRss:                   1 kB\n"
				     "Pss:                   2 kB\nPss_Dirty:           777 kB\n"
				     "Shared_Clean:          3 kB\nShared_Dirty:          4 kB\n"
				     "Private_Clean:         5 kB\nPrivate_Dirty:         6 kB\n"
				     "Referenced:            7 kB\nAnonymous:             8 kB\n"
				     "KSM:                   0 kB\nFuture: what it likes\n???\n\n"
				     "Swap:                  9 kB\nSwapPss:              10 kB\n"
				     "THPeligible:           0\nVmFlags: rd wr mr mw me ac\n"
				     "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [x]\n"
				     "Rss:                  11 kB",
				     &mappings, &count),
			 0);
	assert_int_equal(count, 2);
	assert_string_equal(mappings[0].permissions, "rw-p");
	assert_int_equal(mappings[0].rss, 1 * 1024);
	assert_int_equal(mappings[0].pss, 2 * 1024);
	assert_int_equal(mappings[0].shared_clean, 3 * 1024);
	assert_int_equal(mappings[0].shared_dirty, 4 * 1024);
	assert_int_equal(mappings[0].private_clean, 5 * 1024);
	assert_int_equal(mappings[0].private_dirty, 6 * 1024);
	assert_int_equal(mappings[0].anonymous, 8 * 1024);
	assert_int_equal(mappings[0].swap, 9 * 1024);
	assert_int_equal(mappings[0].swap_pss, 10 * 1024);
	assert_string_equal(mappings[1].permissions, "--xp");
	assert_int_equal(mappings[1].rss, 11 * 1024);
	assert_int_equal(mappings[1].anonymous, 0);
}

static void test_mappings_that_make_no_sense(void **state)
{
	static const char *const texts[] = {
		"Rss: 4 kB\n", /* whose? */
		HEAD "Rss:                 1",
		HEAD "Rss:                 1 k",
		HEAD "Rss:                 1 MB\n",
		HEAD "Rss:                -1 kB\n",
		HEAD "Rss:\n",
		HEAD "Rss:                 99999999999999999999 kB\n",
		HEAD "Rss:                 9223372036854775807 kB\n",
		"7f56c177c000-7f56c177d000 rw\nRss: 1 kB\n",
	};
	struct procfs_mapping *mappings = NULL;
	size_t count = 7;

	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(mappings_of(texts[i], &mappings, &count), -EPROTO);
	assert_null(mappings);
	assert_int_equal(count, 7);
	assert_int_equal(mappings_of("", &mappings, &count), 0);
	assert_null(mappings);
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest procfs_text[] = {
		cmocka_unit_test(test_a_stat),
		cmocka_unit_test(test_names_that_pose_as_fields),
		cmocka_unit_test(test_a_name_that_is_too_long_is_cut),
		cmocka_unit_test(test_a_stat_that_is_cut),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_a_process_that_is_being_released),
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_mappings_that_make_no_sense),
	};

	return cmocka_run_group_tests(procfs_text, NULL, NULL);
}

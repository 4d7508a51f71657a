// SPDX-License-Identifier: GPL-2.0-only
/* Sizes, durations, times and names: what people type, and what they get to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "units.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED 0x5a5a5a5au

struct typed {
	const char *text;
	uint64_t value;
};

typedef bool (*parser)(const char *text, uint64_t *ret_value);

static void accepts(parser parse, const struct typed *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;

		if (!parse(table[i].text, &value))
			fail_msg("'%s' was refused", table[i].text);
		if (value != table[i].value)
			fail_msg("'%s' gave %llu, not %llu", table[i].text,
				 (unsigned long long)value, (unsigned long long)table[i].value);
	}
}

static void refuses(parser parse, const char *const *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;

		if (parse(table[i], &value))
			fail_msg("'%s' was taken for %llu", table[i], (unsigned long long)value);
		if (value != UNTOUCHED)
			fail_msg("'%s' was refused, but wrote %llu", table[i],
				 (unsigned long long)value);
	}
}

static void test_sizes_that_people_write(void **state)
{
	static const struct typed table[] = {
		{"0", 0},
		{"1", 1},
		{"100", 100},
		{"007", 7},
		{"64k", 64 << 10},
		{"64K", 64 << 10},
		{"0K", 0},
		{"1m", 1 << 20},
		{"512M", 512u << 20},
		{"1.5G", 3ull << 29},
		{"0.5g", 1u << 29},
		{".5K", 512},
		{"0.001K", 1},
		{"2T", 2ull << 40},
		{"8388607T", 8388607ull << 40},
	};

	accepts(units_parse_size, table, COUNT(table));
}

static void test_sizes_that_are_refused(void **state)
{
	/* clang-format off */
	static const char *const table[] = {
		"", " ", "K", ".", ".K", "..5", "1.5.2K", "1,5K", "1_000",
		/* signs and spaces that strtod would take */
		"-1", "-0", "+1", "-1K", " 1", "\t1", "\n1", "1 ", "1 K", "1K ", "1\n",
		/* so would it these */
		"1e3", "1E3", "1e+3", "1e", "1e3K", "0x10", "0X10", "0x1p4", "0x", "00x10", "inf",
		"INF", "infinity", "nan", "nan(1)", "1inf", "1nan",
		/* units of others */
		"1KB", "1KiB", "1B", "1kk", "1P", "1E", "1%", "1ms",
		/* beyond 63 bits */
		"9e18", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"8388608T", "9007199254740992K", "99999999999999999999T",
		/* digits, but not ours */
		"\xef\xbc\x91", "\xe0\xa5\xa7K",
	};
	/* clang-format on */

	refuses(units_parse_size, table, COUNT(table));
}

static void test_a_size_of_400_digits_is_refused(void **state)
{
	char text[401];
	const char *const table[] = {text};

	memset(text, '9', 400);
	text[400] = '\0';
	refuses(units_parse_size, table, 1);
}

/* "False ... for what does not fit into 63 bits": all else is a number of bytes. */
static void test_a_size_in_bytes_is_exact_up_to_63_bits(void **state)
{
	static const struct typed table[] = {
		{"9007199254740993", 9007199254740993},	      /* 2^53 + 1 */
		{"1152921504606846977", 1152921504606846977}, /* 2^60 + 1 */
		{"9223372036854775807", INT64_MAX},
	};

	accepts(units_parse_size, table, COUNT(table));
}

static void test_durations_that_people_write(void **state)
{
	static const struct typed table[] = {
		{"0", 0},
		{"0s", 0},
		{"1ms", 1000000},
		{"250ms", 250000000},
		{"3s", 3000000000},
		{"1.5s", 1500000000},
		{".5s", 500000000},
		{"0.5ms", 500000},
		{"2m", 120000000000},
		{"1h", 3600000000000},
		{"9223372036s", 9223372036000000000},
	};

	accepts(units_parse_duration, table, COUNT(table));
}

static void test_durations_that_are_refused(void **state)
{
	/* clang-format off */
	static const char *const table[] = {
		"",    "1",    "10",   "s",    "ms",  "1 s",  "1s ",  " 1s",  "-1s",
		"+1s", "-0",   "1us",  "1ns",  "1d",  "1sec", "1s2s", "1m30", "1m30s",
		"1K",  "1e3s", "0x1s", "infs", "inf", "nan",  "1min", "0 ",   " 0",
		/* beyond 63 bits of nanoseconds */
		"9223372037s", "2562048h", "99999999999999999999h",
	};
	/* clang-format on */

	refuses(units_parse_duration, table, COUNT(table));
}

static void test_counts(void **state)
{
	static const struct {
		const char *text;
		bool taken;
		uint32_t count;
	} table[] = {
		{"0", true, 0},
		{"1", true, 1},
		{"8192", true, 8192},
		{"999999999", true, 999999999},
		{"", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"+1", false, 0},
		{"-1", false, 0},
		{"1.0", false, 0},
		{"1e3", false, 0},
		{"0x10", false, 0},
		{"1k", false, 0},
		{"4294967296", false, 0},
		{"18446744073709551617", false, 0},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		uint32_t count = UNTOUCHED;

		if (units_parse_count(table[i].text, &count) != table[i].taken)
			fail_msg("'%s' was %s", table[i].text,
				 table[i].taken ? "refused" : "taken");
		assert_int_equal(count, table[i].taken ? table[i].count : UNTOUCHED);
	}
}

static void shows(int64_t bytes, const char *expected)
{
	char text[UNITS_SIZE_TEXT];

	assert_ptr_equal(units_format_size(bytes, text), text);
	if (strcmp(text, expected))
		fail_msg("%lld is shown as '%s', not '%s'", (long long)bytes, text, expected);
}

static void test_sizes_as_they_are_shown(void **state)
{
	shows(0, "0");
	shows(1, "1");
	shows(512, "512");
	shows(1536, "1.50K");
	shows(64 << 10, "64.0K");
	shows(300 << 10, "300K");
	shows(1 << 20, "1.00M");
	shows(5ll << 28, "1.25G");
	shows(1ll << 40, "1.00T");
	shows(1ll << 50, "1.00P");
	shows(1ll << 60, "1.00E");
	shows(INT64_MAX, "8.00E");
}

/* Never "1000", "10.00K" or "1000K": the columns of ps stay straight. */
static void test_sizes_at_the_edges_of_rounding(void **state)
{
	shows(999, "999");
	shows(1000, "0.98K");
	shows(1023, "1.00K");
	shows(1024, "1.00K");
	shows(1029, "1.00K");
	shows(1030, "1.01K");
	shows(10234, "9.99K");	 /* 9.9941 K */
	shows(10235, "10.0K");	 /* 9.9951 K */
	shows(102348, "99.9K");	 /* 99.9492 K */
	shows(102349, "100K");	 /* 99.9502 K */
	shows(1023487, "999K");	 /* 999.499 K */
	shows(1023488, "0.98M"); /* 999.5 K */
	shows((1 << 20) - 1, "1.00M");
	shows(1048051711, "999M");  /* 999.4999 M */
	shows(1048051712, "0.98G"); /* 999.5 M */
}

static void test_negative_sizes_are_shown_like_positive_ones(void **state)
{
	shows(-1, "-1");
	shows(-999, "-999");
	shows(-65536, "-64.0K");
	shows(-(5ll << 28), "-1.25G");
	shows(INT64_MIN, "-8.00E"); /* 20 characters in bytes: they would be cut */
}

static void test_a_shown_size_can_be_typed_again(void **state)
{
	for (int64_t bytes = 1; bytes < (900ll << 40); bytes += bytes / 7 + 1) {
		char text[UNITS_SIZE_TEXT];
		uint64_t again;
		int64_t off;

		assert_true(strlen(units_format_size(bytes, text)) <= 5);
		if (!units_parse_size(text, &again))
			fail_msg("'%s' cannot be typed", text);
		off = llabs((int64_t)again - bytes);
		if (off * 1000 > bytes * 6)
			fail_msg("%lld came back from '%s' as %llu", (long long)bytes, text,
				 (unsigned long long)again);
	}
}

static void reads(int64_t real_ns, const char *expected)
{
	char text[UNITS_TIME_TEXT];

	assert_ptr_equal(units_format_time(real_ns, text), text);
	assert_string_equal(text, expected);
}

static void test_times(void **state)
{
	reads(0, "1970-01-01T00:00:00.000000000Z");
	reads(1, "1970-01-01T00:00:00.000000001Z");
	reads(999999999, "1970-01-01T00:00:00.999999999Z");
	reads(951782399999999999, "2000-02-28T23:59:59.999999999Z");
	reads(951782400000000000, "2000-02-29T00:00:00.000000000Z");
	reads(1767225600123456789, "2026-01-01T00:00:00.123456789Z");
	reads(2147483648000000000, "2038-01-19T03:14:08.000000000Z");
	reads(INT64_MAX, "2262-04-11T23:47:16.854775807Z");
}

static void test_times_ignore_the_zone(void **state)
{
	setenv("TZ", "Asia/Kolkata", 1);
	tzset();
	reads(1767225600000000000, "2026-01-01T00:00:00.000000000Z");
	setenv("TZ", "XXX+11", 1);
	tzset();
	reads(1767225600000000000, "2026-01-01T00:00:00.000000000Z");
	unsetenv("TZ");
	tzset();
}

/* A machine without a clock starts at the epoch, or a little before it. */
static void test_times_before_the_epoch(void **state)
{
	reads(-1, "1969-12-31T23:59:59.999999999Z");
	reads(-1000000000, "1969-12-31T23:59:59.000000000Z");
	reads(-1500000000, "1969-12-31T23:59:58.500000000Z");
	reads(INT64_MIN, "1677-09-21T00:12:43.145224192Z");
}

static void test_durations_as_they_are_shown(void **state)
{
	static const uint64_t second = 1000000000, hour = 3600 * second;
	const struct {
		uint64_t ns;
		const char *text;
	} table[] = {
		{0, "0.00s"},
		{9999999, "0.00s"},
		{10000000, "0.01s"},
		{1234567890, "1.23s"},
		{60 * second - 1, "59.99s"},
		{60 * second, "1:00.0"},
		{62 * second + 390000000, "1:02.3"},
		{hour - 1, "59:59.9"},
		{hour, "1:00:00"},
		{100 * hour - 1, "99:59:59"},
		{100 * hour, "4d04h"},
		{999 * 24 * hour, "999d00h"},
		{UINT64_MAX, "213503d23h"},
	};
	char text[UNITS_DURATION_TEXT];

	for (size_t i = 0; i < COUNT(table); i++)
		assert_string_equal(units_format_duration(table[i].ns, text), table[i].text);
}

static void test_names(void **state)
{
	static const char *const good[] = {
		"a", "Z", "0", ".", "-", "_", ":", "build-42", "ci:job.7_x", "1.5G",
	};
	/* clang-format off */
	static const char *const bad[] = {
		"", " ", "a b", " a", "a ", "a/b", "../x", "a\n", "\033[2J", "a\tb", "#1",
		"a,b", "a;b", "$(x)", "a*", "a\"", "a'", "a\\b", "a=b", "a@b", "\x7f", "\xff",
		"b\303\274cher",
	};
	/* clang-format on */

	for (size_t i = 0; i < COUNT(good); i++)
		if (!units_is_name(good[i]))
			fail_msg("'%s' is a name", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (units_is_name(bad[i]))
			fail_msg("'%s' is no name", bad[i]);
}

static void test_a_name_has_63_characters_at_most(void **state)
{
	char name[1025] = {};

	for (size_t length = 1; length < sizeof(name); length++) {
		name[length - 1] = 'n';
		assert_int_equal(units_is_name(name), length <= 63);
	}
}

static void test_signals(void **state)
{
	static const char *const none[] = {"",	    "0",   "65",  "-1",	   "term",	 "SIG",
					   "SIG15", "15x", " 15", "TERM ", "99999999999"};
	int number = 0;

	(void)state;
	assert_true(units_parse_signal("TERM", &number));
	assert_int_equal(number, 15);
	assert_true(units_parse_signal("SIGKILL", &number));
	assert_int_equal(number, 9);
	assert_true(units_parse_signal("64", &number));
	assert_int_equal(number, 64);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(units_parse_signal(none[i], &number));
	assert_int_equal(number, 64);
}

int main(void)
{
	const struct CMUnitTest units[] = {
		cmocka_unit_test(test_sizes_that_people_write),
		cmocka_unit_test(test_sizes_that_are_refused),
		cmocka_unit_test(test_a_size_of_400_digits_is_refused),
		cmocka_unit_test(test_a_size_in_bytes_is_exact_up_to_63_bits),
		cmocka_unit_test(test_durations_that_people_write),
		cmocka_unit_test(test_durations_that_are_refused),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_sizes_as_they_are_shown),
		cmocka_unit_test(test_sizes_at_the_edges_of_rounding),
		cmocka_unit_test(test_negative_sizes_are_shown_like_positive_ones),
		cmocka_unit_test(test_a_shown_size_can_be_typed_again),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_times_ignore_the_zone),
		cmocka_unit_test(test_times_before_the_epoch),
		cmocka_unit_test(test_durations_as_they_are_shown),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_a_name_has_63_characters_at_most),
	};

	return cmocka_run_group_tests(units, NULL, NULL);
}

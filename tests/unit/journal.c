// SPDX-License-Identifier: GPL-2.0-only
/* The bounds of the journal, and who is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "journal.h"

static json_t *occurrence(const char *name, const char *id, size_t padding)
{
	char *pad = calloc(1, padding + 1);
	json_t *object;

	assert_non_null(pad);
	memset(pad, 'x', padding);
	object = json_pack("{s:s, s:s, s:s}", "name", name, "id", id, "pad", pad);
	free(pad);
	assert_non_null(object);
	return object;
}

static json_int_t seq_of(const struct journal *journal, size_t entry)
{
	json_t *object = json_loads(journal_line(journal, entry), JSON_REJECT_DUPLICATES, NULL);
	json_int_t seq = json_integer_value(json_object_get(object, "seq"));

	assert_non_null(object);
	json_decref(object);
	return seq;
}

static void test_lines_are_numbered(void **state)
{
	struct journal *journal = journal_new(8, 4096);
	const char *line;

	(void)state;
	assert_int_equal(journal_count(journal), 0);
	line = journal_add(journal, occurrence("a", "1.1", 0));
	assert_string_equal(line, "{\"name\":\"a\",\"id\":\"1.1\",\"pad\":\"\",\"seq\":1}\n");
	journal_add(journal, occurrence("b", "1.2", 0));
	assert_int_equal(journal_count(journal), 2);
	assert_int_equal(seq_of(journal, 0), 1);
	assert_int_equal(seq_of(journal, 1), 2);
	assert_int_equal(journal_dropped(journal), 0);
	journal_free(journal);
}

static void test_the_oldest_goes_for_a_new_one(void **state)
{
	struct journal *journal = journal_new(4, 1 << 20);

	(void)state;
	for (int i = 0; i < 11; i++)
		assert_non_null(journal_add(journal, occurrence("a", "1.1", 10)));
	assert_int_equal(journal_count(journal), 4);
	assert_int_equal(journal_dropped(journal), 7);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(seq_of(journal, i), 8 + i);
	journal_free(journal);
}

static void test_bytes_are_bounded(void **state)
{
	struct journal *journal = journal_new(100, 1000);
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 9; i++)
		journal_add(journal, occurrence("a", "1.1", 250));
	for (size_t i = 0; i < journal_count(journal); i++)
		bytes += strlen(journal_line(journal, i));
	assert_int_equal(journal_count(journal), 3);
	assert_in_range(bytes, 750, 1000);
	assert_int_equal(journal_dropped(journal), 6);
	/* One that takes the room of all the others. */
	journal_add(journal, occurrence("b", "1.2", 900));
	assert_int_equal(journal_count(journal), 1);
	assert_int_equal(seq_of(journal, 0), 10);
	journal_free(journal);
}

static void test_what_cannot_be_kept_is_counted(void **state)
{
	struct journal *journal = journal_new(4, 200);

	(void)state;
	journal_add(journal, occurrence("a", "1.1", 10));
	assert_null(journal_add(journal, occurrence("a", "1.1", 200)));
	assert_null(journal_add(journal, NULL));
	assert_null(journal_add(journal, json_array()));
	assert_int_equal(journal_count(journal), 1);
	assert_int_equal(journal_dropped(journal), 3);
	/* The gap shows in the numbers, too. */
	journal_add(journal, occurrence("a", "1.1", 10));
	assert_int_equal(seq_of(journal, 1), 5);
	journal_free(journal);
}

static void test_a_tree_is_found_by_name_and_id(void **state)
{
	struct journal *journal = journal_new(4, 4096);

	(void)state;
	journal_add(journal, occurrence("job", "12.3", 0));
	journal_add(journal, json_pack("{s:i}", "name", 5));
	assert_true(journal_is_about(journal, 0, "job"));
	assert_true(journal_is_about(journal, 0, "#12.3"));
	assert_false(journal_is_about(journal, 0, "12.3"));
	assert_false(journal_is_about(journal, 0, "#job"));
	assert_false(journal_is_about(journal, 0, "#12.33"));
	assert_false(journal_is_about(journal, 0, "jo"));
	assert_false(journal_is_about(journal, 1, "5"));
	journal_free(journal);
}

static void test_hostile_text_stays_one_line(void **state)
{
	struct journal *journal = journal_new(4, 4096);
	const char *line = journal_add(journal, occurrence("a\nb\033[2J\"", "1.1", 0));

	(void)state;
	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strchr(line, '\033'));
	journal_free(journal);
	journal_free(NULL);
}

static bool restored(struct journal *journal, const char *line)
{
	return journal_restore(journal, line, strlen(line));
}

static void test_numbers_go_on_after_what_was_restored(void **state)
{
	struct journal *journal = journal_new(3, 200);
	char line[300] = "{\"seq\":99,\"pad\":\"";

	(void)state;
	assert_true(restored(journal, "{\"seq\":7,\"name\":\"a\",\"id\":\"1.2\"}"));
	assert_true(restored(journal, "{\"seq\":5,\"name\":\"b\"}"));
	assert_string_equal(journal_line(journal, 0),
			    "{\"seq\":7,\"name\":\"a\",\"id\":\"1.2\"}\n");
	assert_true(journal_is_about(journal, 0, "#1.2"));
	/* What cannot be kept moves no number. */
	memset(line + strlen(line), 'x', 200);
	strcat(line, "\"}");
	assert_false(restored(journal, line));
	assert_false(restored(journal, "{\"seq\":4503599627370497}"));
	assert_false(restored(journal, "{\"seq\":8}x"));
	assert_false(restored(journal, ""));
	journal_add(journal, occurrence("c", "1.3", 0));
	assert_int_equal(seq_of(journal, 2), 8);
	assert_int_equal(journal_dropped(journal), 0);
	/* The bounds are those of any line. */
	assert_true(restored(journal, "{\"seq\":4503599627370496}"));
	assert_int_equal(journal_count(journal), 3);
	assert_int_equal(journal_dropped(journal), 1);
	assert_non_null(journal_add(journal, occurrence("d", "1.3", 0)));
	journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_numbered),
		cmocka_unit_test(test_the_oldest_goes_for_a_new_one),
		cmocka_unit_test(test_bytes_are_bounded),
		cmocka_unit_test(test_what_cannot_be_kept_is_counted),
		cmocka_unit_test(test_a_tree_is_found_by_name_and_id),
		cmocka_unit_test(test_hostile_text_stays_one_line),
		cmocka_unit_test(test_numbers_go_on_after_what_was_restored),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}

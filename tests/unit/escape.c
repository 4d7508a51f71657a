// SPDX-License-Identifier: GPL-2.0-only
/* Hostile text: nothing that a process can call itself moves a cursor or breaks JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "escape.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(literal) literal, sizeof(literal) - 1
#define FFFD "\xef\xbf\xbd"

struct sample {
	const char *what;
	const char *text;
	size_t length;
	const char *expected;
	size_t expected_length;
};

/* jansson's own judgement, as an independent one. */
static bool is_utf8(const char *text, size_t length)
{
	json_t *string = json_stringn(text, length);
	bool valid = string != NULL;

	json_decref(string);
	return valid;
}

static void terminal_shows(const char *what, const char *text, size_t length, const char *expected)
{
	char *shown = escape_terminal(text, length);

	assert_non_null(shown);
	if (strcmp(shown, expected))
		fail_msg("%s: got \"%s\", not \"%s\"", what, shown, expected);
	free(shown);
}

static void utf8_becomes(const char *what, const char *text, size_t length, const char *expected,
			 size_t expected_length)
{
	size_t result_length = 0;
	char *result = escape_utf8(text, length, &result_length);

	assert_non_null(result);
	if (result_length != expected_length || memcmp(result, expected, expected_length))
		fail_msg("%s: got \"%s\" (%zu bytes), not \"%s\" (%zu bytes)", what, result,
			 result_length, expected, expected_length);
	assert_int_equal(result[result_length], 0);
	free(result);
}

static void test_plain_text_is_left_alone(void **state)
{
	static const struct sample table[] = {
		{"nothing", TEXT(""), TEXT("")},
		{"ASCII", TEXT("make -j8 'a b' \"c\""), TEXT("make -j8 'a b' \"c\"")},
		{"two bytes", TEXT("Gr\xc3\xbc\xc3\x9f"), TEXT("Gr\xc3\xbc\xc3\x9f")},
		{"three bytes", TEXT("\xe2\x82\xac"), TEXT("\xe2\x82\xac")},
		{"four bytes", TEXT("\xf0\x9f\x90\xa7"), TEXT("\xf0\x9f\x90\xa7")},
		{"the first of each length", TEXT("\xc2\xa0\xe0\xa0\x80\xf0\x90\x80\x80"),
		 TEXT("\xc2\xa0\xe0\xa0\x80\xf0\x90\x80\x80")},
		{"the last of each length", TEXT("~\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf"),
		 TEXT("~\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf")},
		{"beside the surrogates", TEXT("\xed\x9f\xbf\xee\x80\x80"),
		 TEXT("\xed\x9f\xbf\xee\x80\x80")},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		const struct sample *row = &table[i];

		terminal_shows(row->what, row->text, row->length, row->expected);
		utf8_becomes(row->what, row->text, row->length, row->expected,
			     row->expected_length);
	}
}

static void test_what_moves_a_cursor_is_escaped(void **state)
{
	static const struct sample table[] = {
		{"a second line", TEXT("init\n  1 root"), TEXT("init\\n  1 root")},
		{"an overwritten line", TEXT("evil\rgood"), TEXT("evil\\rgood")},
		{"the named ones", TEXT("\a\b\t\n\v\f\r"), TEXT("\\a\\b\\t\\n\\v\\f\\r")},
		{"clear the screen", TEXT("\033[2J"), TEXT("\\033[2J")},
		{"set the title", TEXT("\033]0;x\a"), TEXT("\\033]0;x\\a")},
		{"octal, then a digit", TEXT("\0337"), TEXT("\\0337")},
		{"NUL", TEXT("a\0b\0"), TEXT("a\\000b\\000")},
		{"DEL", TEXT("a\x7f"), TEXT("a\\177")},
		{"raw CSI", TEXT("\2332J"), TEXT("\\2332J")},
		{"CSI as U+009B", TEXT("\302\2332J"), TEXT("\\302\\2332J")},
		{"NEL, U+0085", TEXT("\xc2\x85"), TEXT("\\302\\205")},
		{"the first and last of C1", TEXT("\xc2\x80\xc2\x9f"),
		 TEXT("\\302\\200\\302\\237")},
		{"line separator", TEXT("\xe2\x80\xa8"), TEXT("\\342\\200\\250")},
		{"paragraph separator", TEXT("\xe2\x80\xa9"), TEXT("\\342\\200\\251")},
	};

	for (size_t i = 0; i < COUNT(table); i++)
		terminal_shows(table[i].what, table[i].text, table[i].length, table[i].expected);
}

/* Unicode's property Bidi_Control, all of it. */
static void test_what_changes_the_writing_direction_is_escaped(void **state)
{
	static const struct sample table[] = {
		{"U+202E right-to-left override", TEXT("a\342\200\256gpj.exe"),
		 TEXT("a\\342\\200\\256gpj.exe")},
		{"U+200E left-to-right mark", TEXT("\xe2\x80\x8e"), TEXT("\\342\\200\\216")},
		{"U+200F right-to-left mark", TEXT("\xe2\x80\x8f"), TEXT("\\342\\200\\217")},
		{"U+202A embedding", TEXT("\xe2\x80\xaa"), TEXT("\\342\\200\\252")},
		{"U+202B embedding", TEXT("\xe2\x80\xab"), TEXT("\\342\\200\\253")},
		{"U+202C pop", TEXT("\xe2\x80\xac"), TEXT("\\342\\200\\254")},
		{"U+202D override", TEXT("\xe2\x80\xad"), TEXT("\\342\\200\\255")},
		{"U+2066 isolate", TEXT("\xe2\x81\xa6"), TEXT("\\342\\201\\246")},
		{"U+2067 isolate", TEXT("\xe2\x81\xa7"), TEXT("\\342\\201\\247")},
		{"U+2068 isolate", TEXT("\xe2\x81\xa8"), TEXT("\\342\\201\\250")},
		{"U+2069 pop isolate", TEXT("\xe2\x81\xa9"), TEXT("\\342\\201\\251")},
		{"U+061C arabic letter mark", TEXT("\xd8\x9c"), TEXT("\\330\\234")},
	};

	for (size_t i = 0; i < COUNT(table); i++)
		terminal_shows(table[i].what, table[i].text, table[i].length, table[i].expected);
}

/* Else "\\n", typed by the process, could not be told from a newline. */
static void test_a_backslash_is_doubled(void **state)
{
	terminal_shows("one", TEXT("a\\nb"), "a\\\\nb");
	terminal_shows("only", TEXT("\\"), "\\\\");
	terminal_shows("before a newline", TEXT("\\\n"), "\\\\\\n");
	utf8_becomes("JSON escapes it itself", TEXT("a\\nb"), TEXT("a\\nb"));
}

static void test_invalid_utf8(void **state)
{
	static const struct {
		const char *what;
		const char *text;
		size_t length;
		const char *shown;
	} table[] = {
		{"a lone continuation", TEXT("\x80"), "\\200"},
		{"never used", TEXT("\xfe\xff"), "\\376\\377"},
		{"overlong NUL", TEXT("\xc0\x80"), "\\300\\200"},
		{"overlong slash", TEXT("\xc0\xaf"), "\\300\\257"},
		{"overlong ESC", TEXT("\xc1\x9b"), "\\301\\233"},
		{"overlong ESC of three", TEXT("\xe0\x80\x9b"), "\\340\\200\\233"},
		{"overlong, the last of three", TEXT("\xe0\x9f\xbf"), "\\340\\237\\277"},
		{"overlong ESC of four", TEXT("\xf0\x80\x80\x9b"), "\\360\\200\\200\\233"},
		{"overlong, the last of four", TEXT("\xf0\x8f\xbf\xbf"), "\\360\\217\\277\\277"},
		{"the first surrogate", TEXT("\xed\xa0\x80"), "\\355\\240\\200"},
		{"the last surrogate", TEXT("\xed\xbf\xbf"), "\\355\\277\\277"},
		{"a pair of surrogates", TEXT("\xed\xa0\xbd\xed\xb0\xa7"),
		 "\\355\\240\\275\\355\\260\\247"},
		{"beyond U+10FFFF", TEXT("\xf4\x90\x80\x80"), "\\364\\220\\200\\200"},
		{"a lead that is too large", TEXT("\xf5\x80\x80\x80"), "\\365\\200\\200\\200"},
		{"five bytes", TEXT("\xf8\x88\x80\x80\x80"), "\\370\\210\\200\\200\\200"},
		{"cut after one of two", TEXT("\xc3"), "\\303"},
		{"cut after two of three", TEXT("\xe2\x82"), "\\342\\202"},
		{"cut after three of four", TEXT("\xf0\x9f\x90"), "\\360\\237\\220"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		size_t length = 0, count = 0;
		char *result;

		terminal_shows(table[i].what, table[i].text, table[i].length, table[i].shown);
		/* One U+FFFD for each byte or for several: both are in use. */
		result = escape_utf8(table[i].text, table[i].length, &length);
		assert_non_null(result);
		for (; count * 3 < length; count++)
			if (memcmp(result + count * 3, FFFD, 3))
				fail_msg("%s: not only U+FFFD", table[i].what);
		assert_int_equal(count * 3, length);
		assert_in_range(count, 1, table[i].length);
		free(result);
	}
}

/* What follows a broken sequence is read anew: it may be an ESC, or a good letter. */
static void test_a_broken_sequence_swallows_nothing(void **state)
{
	terminal_shows("ESC after a lead", TEXT("\xe2\033[2J"), "\\342\\033[2J");
	terminal_shows("ESC within", TEXT("\xf0\x9f\033c"), "\\360\\237\\033c");
	terminal_shows("a quote after a lead", TEXT("\xc3\""), "\\303\"");
	terminal_shows("a letter after a lead", TEXT("\xe2\xc3\xbc"), "\\342\xc3\xbc");
	utf8_becomes("a quote after a lead", TEXT("\xc3\""), TEXT(FFFD "\""));
	utf8_becomes("a letter after a lead", TEXT("\xe2\xc3\xbc"), TEXT(FFFD "\xc3\xbc"));
	utf8_becomes("between letters", TEXT("a\377b"), TEXT("a" FFFD "b"));
}

/* The bytes behind `length` belong to somebody else, even when they would fit. */
static void test_nothing_is_read_beyond_the_length(void **state)
{
	char *exact = malloc(2);

	assert_non_null(exact);
	memcpy(exact, "\xe2\x82", 2);
	terminal_shows("of the heap", exact, 2, "\\342\\202");
	free(exact);
	terminal_shows("cut letter", "\xe2\x82\xac", 2, "\\342\\202");
	terminal_shows("nothing", "x", 0, "");
	utf8_becomes("nothing", "x", 0, TEXT(""));
}

static void test_json_keeps_controls_and_nul(void **state)
{
	utf8_becomes("NUL within", TEXT("a\0b"), TEXT("a\0b"));
	utf8_becomes("NULs only", TEXT("\0\0"), TEXT("\0\0"));
	utf8_becomes("newline and ESC", TEXT("\n\033[2J"), TEXT("\n\033[2J"));
	utf8_becomes("U+202E", TEXT("\xe2\x80\xae"), TEXT("\xe2\x80\xae"));
	utf8_becomes("raw CSI", TEXT("\2332J"), TEXT(FFFD "2J"));
}

static void test_every_single_byte(void **state)
{
	for (int byte = 0; byte < 256; byte++) {
		char text = (char)byte;
		char *shown = escape_terminal(&text, 1);

		assert_non_null(shown);
		if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
			assert_int_equal(strlen(shown), 1);
			assert_int_equal(shown[0], byte);
		} else {
			assert_in_range(strlen(shown), 2, 4);
			assert_int_equal(shown[0], '\\');
		}
		free(shown);
	}
}

/* The longest result for its input: four characters, or three bytes, for one. */
static void test_long_text(void **state)
{
	size_t length = 1 << 20, result_length = 0;
	char *text = malloc(length), *result;

	assert_non_null(text);
	memset(text, '\033', length);
	result = escape_terminal(text, length);
	assert_non_null(result);
	assert_int_equal(strlen(result), 4 * length);
	free(result);
	memset(text, 0xff, length);
	result = escape_utf8(text, length, &result_length);
	assert_non_null(result);
	assert_int_equal(result_length, 3 * length);
	free(result);
	free(text);
}

/* What escape_terminal wrote, back to bytes. */
static size_t unescape(const char *shown, char *to)
{
	static const char letters[] = "abtnvfr";
	size_t length = 0;

	while (*shown) {
		const char *letter;

		if (*shown != '\\') {
			to[length++] = *shown++;
			continue;
		}
		shown++;
		letter = strchr(letters, *shown);
		if (*shown == '\\') {
			to[length++] = '\\';
			shown++;
		} else if (letter) {
			to[length++] = (char)('\a' + (letter - letters));
			shown++;
		} else {
			char octal[4] = {shown[0], shown[1], shown[2], '\0'};

			to[length++] = (char)strtoul(octal, NULL, 8);
			shown += 3;
		}
	}
	return length;
}

/* The pieces that hostile text is made of, more often than chance would bring them. */
static char byte_next(uint32_t *seed)
{
	static const unsigned char favourites[] = {0x00, 0x1b, '\\', 'n',  '7',	 0x7f, 0x80,
						   0x9b, 0xc2, 0xc0, 0xe2, 0x80, 0xae, 0xed,
						   0xa0, 0xf0, 0x9f, 0xf4, 0xff};

	*seed = *seed * 1664525 + 1013904223;
	return (char)(*seed >> 31 ? *seed >> 16 : favourites[(*seed >> 16) % COUNT(favourites)]);
}

static void test_random_text_is_safe_and_can_be_restored(void **state)
{
	uint32_t seed = 42;

	for (int round = 0; round < 20000; round++) {
		char text[48], back[48 * 4];
		size_t length = (size_t)round % sizeof(text), utf8_length = 0;
		char *shown, *utf8;

		for (size_t i = 0; i < length; i++)
			text[i] = byte_next(&seed);
		shown = escape_terminal(text, length);
		assert_non_null(shown);
		assert_true(is_utf8(shown, strlen(shown)));
		for (size_t i = 0; shown[i]; i++)
			assert_true((unsigned char)shown[i] >= 0x20 && shown[i] != 0x7f);
		assert_int_equal(unescape(shown, back), length);
		assert_memory_equal(back, text, length);
		utf8 = escape_utf8(text, length, &utf8_length);
		assert_non_null(utf8);
		assert_true(is_utf8(utf8, utf8_length));
		if (is_utf8(text, length)) {
			assert_int_equal(utf8_length, length);
			assert_memory_equal(utf8, text, length);
		}
		free(shown);
		free(utf8);
	}
}

int main(void)
{
	const struct CMUnitTest escape[] = {
		cmocka_unit_test(test_plain_text_is_left_alone),
		cmocka_unit_test(test_what_moves_a_cursor_is_escaped),
		cmocka_unit_test(test_what_changes_the_writing_direction_is_escaped),
		cmocka_unit_test(test_a_backslash_is_doubled),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_a_broken_sequence_swallows_nothing),
		cmocka_unit_test(test_nothing_is_read_beyond_the_length),
		cmocka_unit_test(test_json_keeps_controls_and_nul),
		cmocka_unit_test(test_every_single_byte),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_random_text_is_safe_and_can_be_restored),
	};

	return cmocka_run_group_tests(escape, NULL, NULL);
}

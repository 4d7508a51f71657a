// SPDX-License-Identifier: GPL-2.0-only
/* Requests: what is understood, and that nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

static struct refusal why;

/* NULL, or what is wrong with it. */
static const char *parse(const char *line, struct wire_request *request)
{
	memset(&why, 0, sizeof(why));
	if (wire_parse(line, strlen(line), request, &why))
		return NULL;
	assert_int_equal(why.status, EXIT_USAGE);
	assert_true(why.text[0]);
	return why.text;
}

static void test_requests_are_understood(void **state)
{
	struct wire_request request;

	(void)state;
	assert_null(parse("{\"op\":\"events\"}", &request));
	assert_int_equal(request.op, WIRE_EVENTS);
	assert_false(request.follow || request.all);
	assert_null(parse(" {\"all\":true, \"op\":\"events\", \"follow\":true}\r", &request));
	assert_true(request.follow && request.all);
	assert_null(parse("{\"op\":\"why\",\"tree\":\"#12.3\"}", &request));
	assert_int_equal(request.op, WIRE_WHY);
	assert_string_equal(request.tree, "#12.3");
	assert_null(parse("{\"op\":\"ping\"}", &request));
	assert_int_equal(request.op, WIRE_PING);
	assert_null(parse("{\"op\":\"ps\"}", &request));
	assert_int_equal(request.op, WIRE_PS);
	assert_null(parse("{\"op\":\"tree\"}", &request));
	assert_string_equal(request.tree, "");
	assert_null(parse("{\"op\":\"tree\",\"tree\":\"a\"}", &request));
	assert_int_equal(request.op, WIRE_SHOW);
	assert_string_equal(request.tree, "a");
}

static void assert_option(const struct wire_request *request, unsigned int place, const char *name,
			  const char *value)
{
	assert_true(place < request->option_count);
	assert_string_equal(request->options[place].name, name);
	assert_string_equal(request->options[place].value, value);
}

static void test_changes_are_understood(void **state)
{
	struct wire_request request;

	(void)state;
	assert_null(parse("{\"op\":\"add\",\"pid\":2147483647}", &request));
	assert_int_equal(request.op, WIRE_ADD);
	assert_int_equal(request.pid, 2147483647);
	assert_int_equal(request.start_boot_ns, 0);
	assert_int_equal(request.option_count, 0);
	assert_null(parse("{\"op\":\"add\",\"pid\":7,\"name\":\"job\",\"start\":"
			  "\"18446744073709551615\",\"options\":{\"limit\":\"4G\",\"on-limit\":"
			  "\"warn\",\"dry-run\":true}}",
			  &request));
	assert_true(request.start_boot_ns == UINT64_MAX);
	assert_int_equal(request.option_count, 4);
	assert_option(&request, 0, "name", "job");
	assert_option(&request, 1, "limit", "4G");
	assert_option(&request, 2, "on-limit", "warn");
	assert_option(&request, 3, "dry-run", "true");
	assert_null(
		parse("{\"op\":\"set\",\"tree\":\"a\",\"options\":{\"name\":\"b\"}}", &request));
	assert_int_equal(request.op, WIRE_SET);
	assert_option(&request, 0, "name", "b");
	assert_null(parse("{\"op\":\"rm\",\"tree\":\"#1.2\"}", &request));
	assert_int_equal(request.op, WIRE_RM);
	assert_null(parse("{\"op\":\"kill\",\"tree\":\"a\"}", &request));
	assert_int_equal(request.signal, 0);
	assert_null(parse("{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"SIGTERM\"}", &request));
	assert_int_equal(request.signal, 15);
	for (enum wire_op op = WIRE_PING; op <= WIRE_KILL; op++)
		assert_int_equal(wire_changes(op), op == WIRE_ADD || op == WIRE_SET ||
							   op == WIRE_RM || op == WIRE_KILL);
}

static void test_what_is_written_is_understood(void **state)
{
	static const struct wire_request requests[] = {
		{.op = WIRE_EVENTS},
		{.op = WIRE_EVENTS, .follow = true},
		{.op = WIRE_EVENTS, .follow = true, .all = true},
		{.op = WIRE_WHY, .tree = "job-1"},
		{.op = WIRE_PING},
		{.op = WIRE_PS},
		{.op = WIRE_SHOW},
		{.op = WIRE_SHOW, .tree = "#1.2"},
		{.op = WIRE_ADD, .pid = 1},
		{.op = WIRE_ADD,
		 .pid = 77,
		 .start_boot_ns = UINT64_MAX,
		 .option_count = 2,
		 .options = {{"name", "a"}, {"hook", "echo \"\\\xc3\xa4\n"}}},
		{.op = WIRE_SET, .tree = "a", .option_count = 1, .options = {{"limit", "0"}}},
		{.op = WIRE_RM, .tree = "a"},
		{.op = WIRE_KILL, .tree = "a"},
		{.op = WIRE_KILL, .tree = "a", .signal = 64},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *line = wire_line(&requests[i]);
		struct wire_request read;

		assert_non_null(line);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		assert_null(parse(line, &read));
		assert_memory_equal(&read, &requests[i], sizeof(read));
		free(line);
	}
}

static const char *const refused_lines[] = {
	"",
	" ",
	"nonsense",
	"GET / HTTP/1.1",
	"{",
	"}",
	"[]",
	"[\"events\"]",
	"\"events\"",
	"null",
	"{}",
	"{\"op\":null}",
	"{\"op\":1}",
	"{\"op\":\"\"}",
	"{\"op\":\"nonsense\"}",
	"{\"op\":\"PING\"}",
	"{\"op\":\"events\\u0000\"}",
	"{\"op\\u0000\":\"ping\"}",
	"{\"op\":\"ping\",\"x\":1}",
	"{\"op\":\"ping\",\"tree\":\"a\"}",
	"{\"op\":\"ps\",\"follow\":false}",
	"{\"op\":\"tree\",\"tree\":null}",
	"{\"op\":\"tree\",\"tree\":[\"a\"]}",
	"{\"op\":\"rm\"}",
	"{\"op\":\"kill\"}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":15}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"\"}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"0\"}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"65\"}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"-9\"}",
	"{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"term\"}",
	"{\"op\":\"add\"}",
	"{\"op\":\"add\",\"pid\":0}",
	"{\"op\":\"add\",\"pid\":-1}",
	"{\"op\":\"add\",\"pid\":2147483648}",
	"{\"op\":\"add\",\"pid\":4294967297}",
	"{\"op\":\"add\",\"pid\":99999999999999999999}",
	"{\"op\":\"add\",\"pid\":1e999}",
	"{\"op\":\"add\",\"pid\":7.0}",
	"{\"op\":\"add\",\"pid\":\"7\"}",
	"{\"op\":\"add\",\"pid\":true}",
	"{\"op\":\"add\",\"pid\":7,\"pid\":8}",
	"{\"op\":\"add\",\"pid\":7,\"start\":5}",
	"{\"op\":\"add\",\"pid\":7,\"start\":\"\"}",
	"{\"op\":\"add\",\"pid\":7,\"start\":\"0\"}",
	"{\"op\":\"add\",\"pid\":7,\"start\":\"-5\"}",
	"{\"op\":\"add\",\"pid\":7,\"start\":\"5 \"}",
	"{\"op\":\"add\",\"pid\":7,\"start\":\"18446744073709551616\"}",
	"{\"op\":\"add\",\"pid\":7,\"name\":5}",
	"{\"op\":\"add\",\"pid\":7,\"options\":[]}",
	"{\"op\":\"add\",\"pid\":7,\"options\":\"-l 4G\"}",
	"{\"op\":\"add\",\"pid\":7,\"options\":{\"limit\":4294967296}}",
	"{\"op\":\"add\",\"pid\":7,\"options\":{\"limit\":null}}",
	"{\"op\":\"add\",\"pid\":7,\"options\":{\"limit\":\"1G\",\"limit\":\"2G\"}}",
	"{\"op\":\"add\",\"pid\":7,\"name\":\"a\",\"options\":{\"name\":\"a\"}}",
	"{\"op\":\"add\",\"pid\":7,\"options\":{\"a-name-that-is-far-too-long-for-it\":"
	"\"\"}}",
	"{\"op\":\"add\",\"pid\":7,\"tree\":\"a\"}",
	"{\"op\":\"set\",\"tree\":\"a\"}",
	"{\"op\":\"set\",\"options\":{\"limit\":\"1G\"}}",
	"{\"op\":\"set\",\"tree\":\"a\",\"limit\":\"1G\"}",
	"{\"op\":\"events\",\"op\":\"why\"}",
	"{\"op\":\"events\"} {\"op\":\"events\"}",
	"{\"op\":\"events\",\"follow\":1}",
	"{\"op\":\"events\",\"follow\":\"true\"}",
	"{\"op\":\"events\",\"all\":true}",
	"{\"op\":\"events\",\"tree\":\"a\"}",
	"{\"op\":\"why\"}",
	"{\"op\":\"why\",\"tree\":\"\"}",
	"{\"op\":\"why\",\"tree\":5}",
	"{\"op\":\"why\",\"tree\":\"a\",\"follow\":true}",
	"{\"op\":\"why\",\"tree\":\"\xff\xfe\"}",
};

static void test_all_else_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused_lines) / sizeof(refused_lines[0]); i++) {
		struct wire_request request = {.tree = "untouched"};

		if (!parse(refused_lines[i], &request))
			print_error("understood: %s\n", refused_lines[i]);
		assert_non_null(parse(refused_lines[i], &request));
		assert_string_equal(request.tree, "untouched");
	}
}

static void test_long_lines_are_refused(void **state)
{
	struct wire_request request;
	char line[WIRE_TREE + 64];
	char *deep = malloc(WIRE_REQUEST_MAX + 1);

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "{\"op\":\"why\",\"tree\":\"", 20);
	memcpy(line + sizeof(line) - 3, "\"}", 3);
	assert_non_null(parse(line, &request));
	/* The longest name that has room. */
	memcpy(line + 20 + WIRE_TREE - 1, "\"}", 3);
	assert_null(parse(line, &request));
	assert_int_equal(strlen(request.tree), WIRE_TREE - 1);
	assert_non_null(deep);
	memset(deep, '[', WIRE_REQUEST_MAX + 1);
	assert_false(wire_parse(deep, WIRE_REQUEST_MAX, &request, &why));
	assert_string_equal(why.text, "the request is nested too deeply");
	assert_false(wire_parse(deep, WIRE_REQUEST_MAX + 1, &request, &why));
	assert_string_equal(why.text, "the request is too long");
	free(deep);
}

/* An object of so many options, each of a value of so many bytes. */
static const char *options_parse(unsigned int count, size_t length)
{
	static struct wire_request request;
	static char value[2 * WIRE_OPTION_VALUE];
	json_t *options = json_object();
	const char *wrong;
	char *line, name[16];

	memset(value, 'x', sizeof(value));
	value[length] = '\0';
	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "option%u", i);
		json_object_set_new(options, name, json_string(value));
	}
	line = wire_text(json_pack("{s:s, s:i, s:o}", "op", "add", "pid", 7, "options", options));
	assert_non_null(line);
	wrong = parse(line, &request);
	free(line);
	if (!wrong)
		assert_int_equal(request.option_count, count);
	return wrong;
}

static void test_options_are_bounded(void **state)
{
	(void)state;
	assert_null(options_parse(0, 1));
	assert_null(options_parse(WIRE_OPTIONS_MAX, WIRE_OPTION_VALUE - 1));
	assert_non_null(options_parse(WIRE_OPTIONS_MAX + 1, 1));
	assert_non_null(options_parse(1, WIRE_OPTION_VALUE));
}

/* What stands in it may be cut in the middle of a character, and is one line all the same. */
static void test_refusals_are_lines(void **state)
{
	struct refusal refusal;
	struct wire_request request;
	char *line;
	json_t *object;

	(void)state;
	assert_non_null(parse("{\"op\":\"a\\nb\\u001b\"}", &request));
	line = wire_text(wire_error(&why));
	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	free(line);
	refusal_set(&refusal, EXIT_NO_TREE, "%s", "cut: \xc3");
	object = wire_error(&refusal);
	assert_string_equal(json_string_value(json_object_get(object, "error")),
			    "cut: \xef\xbf\xbd");
	assert_int_equal(json_integer_value(json_object_get(object, "status")), 3);
	json_decref(object);
	assert_null(wire_text(NULL));
}

/* Every way to cut and to spoil a request, under the sanitizers. */
static void test_garbage_harms_nothing(void **state)
{
	static const char good[] = "{\"op\":\"events\",\"follow\":true,\"all\":false}";
	struct wire_request request;

	(void)state;
	for (size_t length = 0; length < sizeof(good) - 1; length++)
		assert_false(wire_parse(good, length, &request, &why));
	for (size_t at = 0; at < sizeof(good) - 1; at++)
		for (int byte = 0; byte < 256; byte++) {
			char spoilt[sizeof(good)];

			memcpy(spoilt, good, sizeof(good));
			spoilt[at] = (char)byte;
			if (wire_parse(spoilt, sizeof(good) - 1, &request, &why))
				assert_int_equal(request.op, WIRE_EVENTS);
		}
}

static void test_trackers_have_addresses_of_their_own(void **state)
{
	struct sockaddr_un one, other;
	socklen_t length = wire_address(12, &one);

	(void)state;
	assert_int_equal(one.sun_path[0], '\0');
	assert_memory_equal(one.sun_path + 1, "memtree/12", 10);
	assert_int_equal(length, offsetof(struct sockaddr_un, sun_path) + 11);
	assert_int_equal(wire_address(123, &other), length + 1);
	assert_true(wire_address(UINT32_MAX, &other) <= sizeof(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_understood),
		cmocka_unit_test(test_changes_are_understood),
		cmocka_unit_test(test_what_is_written_is_understood),
		cmocka_unit_test(test_all_else_is_refused),
		cmocka_unit_test(test_long_lines_are_refused),
		cmocka_unit_test(test_options_are_bounded),
		cmocka_unit_test(test_refusals_are_lines),
		cmocka_unit_test(test_garbage_harms_nothing),
		cmocka_unit_test(test_trackers_have_addresses_of_their_own),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Requests: what is understood, and that nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

static const char *parse(const char *line, struct wire_request *request)
{
	return wire_parse(line, strlen(line), request);
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
}

static void test_what_is_written_is_understood(void **state)
{
	static const struct wire_request requests[] = {
		{.op = WIRE_EVENTS},
		{.op = WIRE_EVENTS, .follow = true},
		{.op = WIRE_EVENTS, .follow = true, .all = true},
		{.op = WIRE_WHY, .tree = "job-1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *line = wire_line(&requests[i]);
		struct wire_request read;

		assert_non_null(line);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		assert_null(parse(line, &read));
		assert_int_equal(read.op, requests[i].op);
		assert_int_equal(read.follow, requests[i].follow);
		assert_int_equal(read.all, requests[i].all);
		assert_string_equal(read.tree, requests[i].tree);
		free(line);
	}
}

static void test_all_else_is_refused(void **state)
{
	static const char *const lines[] = {
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
		"{\"op\":\"kill\"}",
		"{\"op\":\"events\\u0000\"}",
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

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct wire_request request = {.tree = "untouched"};

		if (!parse(lines[i], &request))
			print_error("understood: %s\n", lines[i]);
		assert_non_null(parse(lines[i], &request));
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
	assert_non_null(wire_parse(deep, WIRE_REQUEST_MAX, &request));
	assert_non_null(wire_parse(deep, WIRE_REQUEST_MAX + 1, &request));
	free(deep);
}

/* Every way to cut and to spoil a request, under the sanitizers. */
static void test_garbage_harms_nothing(void **state)
{
	static const char good[] = "{\"op\":\"events\",\"follow\":true,\"all\":false}";
	struct wire_request request;

	(void)state;
	for (size_t length = 0; length < sizeof(good) - 1; length++)
		assert_non_null(wire_parse(good, length, &request));
	for (size_t at = 0; at < sizeof(good) - 1; at++)
		for (int byte = 0; byte < 256; byte++) {
			char spoilt[sizeof(good)];

			memcpy(spoilt, good, sizeof(good));
			spoilt[at] = (char)byte;
			if (!wire_parse(spoilt, sizeof(good) - 1, &request))
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
		cmocka_unit_test(test_what_is_written_is_understood),
		cmocka_unit_test(test_all_else_is_refused),
		cmocka_unit_test(test_long_lines_are_refused),
		cmocka_unit_test(test_garbage_harms_nothing),
		cmocka_unit_test(test_trackers_have_addresses_of_their_own),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}

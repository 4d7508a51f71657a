// SPDX-License-Identifier: GPL-2.0-only
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "units.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What a request may have beside its op. */
enum {
	FOLLOW = 1 << 0,
	ALL = 1 << 1,
	TREE = 1 << 2,
	PID = 1 << 3,
	NAME = 1 << 4,
	START = 1 << 5,
	OPTIONS = 1 << 6,
	SIGNAL = 1 << 7,
};

static const struct {
	const char *name;
	unsigned int takes, needs;
} ops[] = {
	[WIRE_PING] = {"ping", 0, 0},
	[WIRE_PS] = {"ps", 0, 0},
	[WIRE_SHOW] = {"tree", TREE, 0},
	[WIRE_EVENTS] = {"events", FOLLOW | ALL, 0},
	[WIRE_WHY] = {"why", TREE, TREE},
	[WIRE_ADD] = {"add", PID | NAME | START | OPTIONS, PID},
	[WIRE_SET] = {"set", TREE | OPTIONS, TREE | OPTIONS},
	[WIRE_RM] = {"rm", TREE, TREE},
	[WIRE_KILL] = {"kill", TREE | SIGNAL, TREE},
};

/* --- one key --------------------------------------------------------------------------------- */

static bool wrong(struct refusal *why, const char *text)
{
	return refusal_set(why, EXIT_USAGE, "%s", text);
}

static bool follow_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	request->follow = json_is_true(value);
	return json_is_boolean(value) || wrong(why, "follow is true or false");
}

static bool all_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	request->all = json_is_true(value);
	return json_is_boolean(value) || wrong(why, "all is true or false");
}

static bool tree_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	const char *text = json_string_value(value);

	if (!text || !text[0] || strlen(text) >= sizeof(request->tree))
		return wrong(why, "tree is the name of a tree, or its #ID");
	strcpy(request->tree, text);
	return true;
}

static bool pid_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	json_int_t pid = json_integer_value(value);

	if (!json_is_integer(value) || pid < 1 || pid > INT32_MAX)
		return wrong(why, "pid is the number of a process");
	request->pid = (uint32_t)pid;
	return true;
}

static bool start_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	const char *text = json_string_value(value);
	uint64_t start = 0;

	for (const char *c = text; c && *c; c++) {
		uint64_t digit = (uint64_t)(*c - '0');

		if (*c < '0' || *c > '9' || start > (UINT64_MAX - digit) / 10) {
			start = 0;
			break;
		}
		start = start * 10 + digit;
	}
	request->start_boot_ns = start;
	return start || wrong(why, "start is a string: when the process was born (boot time, ns), "
				   "as tree shows it");
}

static bool signal_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	const char *text = json_string_value(value);

	if (!text)
		return wrong(why, "signal is a string: \"TERM\"");
	return units_parse_signal(text, &request->signal) ||
	       refusal_set(why, EXIT_USAGE, "'%.40s' is no signal", text);
}

static bool option_take(const char *name, const char *text, struct wire_request *request,
			struct refusal *why)
{
	struct wire_option *option = &request->options[request->option_count];

	if (strlen(name) >= sizeof(option->name))
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no option of a tree", name);
	if (strlen(text) >= sizeof(option->value))
		return refusal_set(why, EXIT_USAGE, "the value of %s is too long", name);
	for (unsigned int i = 0; i < request->option_count; i++)
		if (!strcmp(request->options[i].name, name))
			return refusal_set(why, EXIT_USAGE, "%s is given twice", name);
	if (request->option_count == WIRE_OPTIONS_MAX)
		return wrong(why, "there are not so many options");
	strcpy(option->name, name);
	strcpy(option->value, text);
	request->option_count++;
	return true;
}

static bool name_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	const char *text = json_string_value(value);

	return text ? option_take("name", text, request, why)
		    : wrong(why, "name is a string: what the tree is to be called");
}

static bool options_take(const json_t *value, struct wire_request *request, struct refusal *why)
{
	json_t *options = (json_t *)value; /* only to walk it */
	const char *name;
	json_t *option;

	if (!json_is_object(value))
		return wrong(why, "options is an object: {\"limit\":\"4G\"}");
	json_object_foreach(options, name, option)
	{
		const char *text = json_is_boolean(option)
					   ? (json_is_true(option) ? "true" : "false")
					   : json_string_value(option);

		if (!text)
			return refusal_set(why, EXIT_USAGE,
					   "option '%.40s' is a string, as on the command line",
					   name);
		if (!option_take(name, text, request, why))
			return false;
	}
	return true;
}

static const struct {
	const char *name;
	unsigned int bit;
	bool (*take)(const json_t *value, struct wire_request *request, struct refusal *why);
} keys[] = {
	{"follow", FOLLOW, follow_take},    {"all", ALL, all_take},
	{"tree", TREE, tree_take},	    {"pid", PID, pid_take},
	{"name", NAME, name_take},	    {"start", START, start_take},
	{"options", OPTIONS, options_take}, {"signal", SIGNAL, signal_take},
};

/* --- a request ------------------------------------------------------------------------------- */

/* Negative: there is none of that name. */
static int op_find(const char *name)
{
	for (size_t i = 0; i < LENGTH(ops); i++)
		if (!strcmp(ops[i].name, name))
			return (int)i;
	return -1;
}

static bool key_take(const char *name, const json_t *value, struct wire_request *request,
		     unsigned int *given, struct refusal *why)
{
	for (size_t i = 0; i < LENGTH(keys); i++) {
		if (strcmp(keys[i].name, name) || !(ops[request->op].takes & keys[i].bit))
			continue;
		*given |= keys[i].bit;
		return keys[i].take(value, request, why);
	}
	return refusal_set(why, EXIT_USAGE, "%s has no key '%.40s'", ops[request->op].name, name);
}

static bool object_parse(json_t *object, struct wire_request *request, struct refusal *why)
{
	const char *op = json_string_value(json_object_get(object, "op")), *name;
	unsigned int given = 0;
	json_t *value;
	int found;

	if (!op)
		return wrong(why, "a request is an object with op: {\"op\":\"ping\"}");
	found = op_find(op);
	if (found < 0)
		return refusal_set(why, EXIT_USAGE,
				   "unknown op '%.40s': ping, ps, tree, events, why, add, set, rm "
				   "or kill",
				   op);
	request->op = (enum wire_op)found;
	json_object_foreach(object, name,
			    value) if (strcmp(name, "op") &&
				       !key_take(name, value, request, &given, why)) return false;
	for (size_t i = 0; i < LENGTH(keys); i++)
		if (ops[found].needs & keys[i].bit & ~given)
			return refusal_set(why, EXIT_USAGE, "%s needs %s", op, keys[i].name);
	if (request->all && !request->follow)
		return wrong(why, "all needs follow: nobody listened before");
	return true;
}

static const char *json_complaint(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		return "a key stands twice in the request";
	case json_error_stack_overflow:
		return "the request is nested too deeply";
	case json_error_invalid_utf8:
		return "the request is not in UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "there is a NUL in the request";
	case json_error_numeric_overflow:
		return "a number in the request is too large";
	case json_error_out_of_memory:
		return "out of memory";
	default:
		return "that is no JSON: a request is one object on one line";
	}
}

bool wire_parse(const char *line, size_t length, struct wire_request *ret_request,
		struct refusal *ret_refusal)
{
	struct wire_request request = {};
	json_error_t error;
	json_t *object;
	bool fine;

	if (length > WIRE_REQUEST_MAX)
		return wrong(ret_refusal, "the request is too long");
	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	fine = object ? object_parse(object, &request, ret_refusal)
		      : wrong(ret_refusal, json_complaint(&error));
	json_decref(object);
	if (fine)
		*ret_request = request;
	return fine;
}

bool wire_changes(enum wire_op op)
{
	return op >= WIRE_ADD;
}

/* --- lines ----------------------------------------------------------------------------------- */

static json_t *options_object(const struct wire_request *request)
{
	json_t *options = json_object();

	for (unsigned int i = 0; i < request->option_count; i++)
		json_object_set_new(options, request->options[i].name,
				    json_string(request->options[i].value));
	return options;
}

char *wire_line(const struct wire_request *request)
{
	json_t *object = json_pack("{s:s}", "op", ops[request->op].name);
	unsigned int takes = ops[request->op].takes;
	char start[24];

	if (takes & FOLLOW)
		json_object_set_new(object, "follow", json_boolean(request->follow));
	if (takes & ALL)
		json_object_set_new(object, "all", json_boolean(request->all));
	if (takes & TREE && request->tree[0])
		json_object_set_new(object, "tree", json_string(request->tree));
	if (takes & PID)
		json_object_set_new(object, "pid", json_integer(request->pid));
	if (takes & START && request->start_boot_ns) {
		snprintf(start, sizeof(start), "%llu", (unsigned long long)request->start_boot_ns);
		json_object_set_new(object, "start", json_string(start));
	}
	if (takes & OPTIONS)
		json_object_set_new(object, "options", options_object(request));
	if (takes & SIGNAL && request->signal) {
		snprintf(start, sizeof(start), "%d", request->signal);
		json_object_set_new(object, "signal", json_string(start));
	}
	return wire_text(object);
}

json_t *wire_error(const struct refusal *refusal)
{
	size_t length;
	_cleanup_free_ char *safe = escape_utf8(refusal->text, strlen(refusal->text), &length);

	return safe ? json_pack("{s:o, s:i}", "error", json_stringn(safe, length), "status",
				refusal->status)
		    : NULL;
}

char *wire_text(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line;

	json_decref(object);
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (line)
		strcat(line, "\n");
	else
		free(text);
	return line;
}

socklen_t wire_address(uint32_t tracker_id, struct sockaddr_un *ret_address)
{
	int length;

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	length = snprintf(ret_address->sun_path + 1, sizeof(ret_address->sun_path) - 1,
			  "memtree/%u", tracker_id);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

// SPDX-License-Identifier: GPL-2.0-only
#include "wire.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *events_parse(json_t *object, struct wire_request *request)
{
	int follow = 0, all = 0;

	if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s?b, s?b}", "op",
			   &(const char *){NULL}, "follow", &follow, "all", &all))
		return "events takes follow and all, true or false";
	if (all && !follow)
		return "all needs follow: nobody listened before";
	request->follow = follow;
	request->all = all;
	return NULL;
}

static const char *why_parse(json_t *object, struct wire_request *request)
{
	const char *tree;

	if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s:s}", "op", &(const char *){NULL},
			   "tree", &tree))
		return "why takes one tree, by its name or #ID";
	if (!tree[0] || strlen(tree) >= sizeof(request->tree))
		return "that is no tree's name";
	strcpy(request->tree, tree);
	return NULL;
}

static const char *object_parse(json_t *object, struct wire_request *request)
{
	const char *op = json_string_value(json_object_get(object, "op"));

	if (!op)
		return "a request is an object with op";
	if (!strcmp(op, "events")) {
		request->op = WIRE_EVENTS;
		return events_parse(object, request);
	}
	if (!strcmp(op, "why")) {
		request->op = WIRE_WHY;
		return why_parse(object, request);
	}
	return "unknown op";
}

const char *wire_parse(const char *line, size_t length, struct wire_request *ret_request)
{
	struct wire_request request = {};
	const char *wrong;
	json_t *object;

	if (length > WIRE_REQUEST_MAX)
		return "the request is too long";
	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	wrong = object ? object_parse(object, &request) : "that is no JSON";
	json_decref(object);
	if (!wrong)
		*ret_request = request;
	return wrong;
}

char *wire_line(const struct wire_request *request)
{
	json_t *object = request->op == WIRE_WHY
				 ? json_pack("{s:s, s:s}", "op", "why", "tree", request->tree)
				 : json_pack("{s:s, s:b, s:b}", "op", "events", "follow",
					     request->follow, "all", request->all);
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

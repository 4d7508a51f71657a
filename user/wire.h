/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How one asks the memtree that owns a tracker: where it listens and what a request looks
 * like. One JSON object a line, both ways; docs/PROTOCOL.md is what others program against.
 *
 *   {"op":"ping"}                                who answers, and how busy it is
 *   {"op":"ps"}                                  the document of `memtree ps --json`
 *   {"op":"tree","tree":"NAME or #ID"}           of `memtree tree --json`; all without "tree"
 *   {"op":"events","follow":false,"all":false}   everything that it keeps, and with "follow"
 *                                                what comes; "all" adds fork, exec and exit
 *   {"op":"why","tree":"NAME or #ID"}            what it keeps of one tree
 *   {"op":"add","pid":N,"name":..,"start":"..","options":{"limit":"4G",..}}
 *   {"op":"set","tree":..,"options":{..}}
 *   {"op":"rm","tree":..}
 *   {"op":"kill","tree":..,"signal":"TERM"}      without "signal" SIGKILL until none is left
 *
 * The answer is one line: a document, {"ok":true,..} or {"error":"..","status":1..4}. That to
 * events and why begins with {"type":"journal","lines":N,...} and has N lines after it. Pure.
 */
#ifndef MEMTREE_WIRE_H
#define MEMTREE_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "refusal.h"

#define WIRE_REQUEST_MAX 65536 /* bytes, its newline included */
#define WIRE_TREE 80	       /* room for a name or an "#ID" */
#define WIRE_OPTIONS_MAX 24    /* more than there are */
#define WIRE_OPTION_NAME 24
#define WIRE_OPTION_VALUE 512 /* a hook has 255 bytes at most */

enum wire_op {
	WIRE_PING,
	WIRE_PS,
	WIRE_SHOW, /* "tree" */
	WIRE_EVENTS,
	WIRE_WHY,
	WIRE_ADD, /* from here on: it changes something */
	WIRE_SET,
	WIRE_RM,
	WIRE_KILL,
};

/* As on the command line: "on-limit" and "term". What they mean is not looked at here. */
struct wire_option {
	char name[WIRE_OPTION_NAME];
	char value[WIRE_OPTION_VALUE];
};

struct wire_request {
	enum wire_op op;
	bool follow, all;	   /* of WIRE_EVENTS; all only with follow */
	char tree[WIRE_TREE];	   /* "": none is named */
	uint32_t pid;		   /* of WIRE_ADD, never 0 there */
	uint64_t start_boot_ns;	   /* of that process, 0: not said */
	int signal;		   /* of WIRE_KILL, 0: not said */
	unsigned int option_count; /* of WIRE_ADD, its name among them, and of WIRE_SET */
	struct wire_option options[WIRE_OPTIONS_MAX];
};

/* False with the reason, and nothing written, when it is no request. `line` comes from anybody. */
bool wire_parse(const char *line, size_t length, struct wire_request *ret_request,
		struct refusal *ret_refusal);

/* Whether it changes anything, which root alone may. */
bool wire_changes(enum wire_op op);

/* The line for it, with its newline; the caller frees. NULL without memory. */
char *wire_line(const struct wire_request *request);

/* {"error":..,"status":..}, a new reference; NULL without memory. */
json_t *wire_error(const struct refusal *refusal);

/* Its line with its newline; takes the reference, NULL is allowed. The caller frees; NULL without
 * memory. */
char *wire_text(json_t *object);

/* An abstract name, so that nothing is left behind by who is killed. Returns its length. */
socklen_t wire_address(uint32_t tracker_id, struct sockaddr_un *ret_address);

#endif /* MEMTREE_WIRE_H */

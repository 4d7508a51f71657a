/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How one asks the memtree that owns a tracker: where it listens and what a request looks
 * like. One JSON object a line, both ways:
 *
 *   {"op":"events","follow":false,"all":false}   everything that it keeps, and with "follow"
 *                                                what comes; "all" adds fork, exec and exit
 *   {"op":"why","tree":"NAME or #ID"}            what it keeps of one tree
 *
 * The answer begins with {"type":"journal","lines":N,...} and has N lines after it, or is one
 * {"error":"..."}. Pure.
 */
#ifndef MEMTREE_WIRE_H
#define MEMTREE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define WIRE_REQUEST_MAX 65536 /* bytes, its newline included */
#define WIRE_TREE 80	       /* room for a name or an "#ID" */

enum wire_op {
	WIRE_EVENTS,
	WIRE_WHY,
};

struct wire_request {
	enum wire_op op;
	bool follow, all;     /* of WIRE_EVENTS; all only with follow */
	char tree[WIRE_TREE]; /* of WIRE_WHY */
};

/* NULL, or what is wrong with it, static. `line` comes from anybody. */
const char *wire_parse(const char *line, size_t length, struct wire_request *ret_request);

/* The line for it, with its newline; the caller frees. NULL without memory. */
char *wire_line(const struct wire_request *request);

/* An abstract name, so that nothing is left behind by who is killed. Returns its length. */
socklen_t wire_address(uint32_t tracker_id, struct sockaddr_un *ret_address);

#endif /* MEMTREE_WIRE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asks the memtree that owns a tracker, as wire.h has it. Only the one that its header names is
 * believed. Each failure is said in one line on stderr.
 */
#ifndef MEMTREE_DIAL_H
#define MEMTREE_DIAL_H

#include <jansson.h>

#include "tracker.h"
#include "wire.h"

/* How long an answer may be awaited. */
#define DIAL_TIMEOUT_S 2
/* That of a request which may kill or adopt first. */
#define DIAL_REQUEST_TIMEOUT_S 60

struct dial {
	uint32_t tracker; /* id */
	int fd;		  /* -1: ended */
	char *text;	  /* read and not yet taken */
	size_t used, room;
};

/*
 * Sends the request and reads the kept lines of the answer into `kept`, an array of objects.
 * With request->follow the rest comes by dial_read. Negative errno; the caller frees with
 * dial_close in any case.
 */
int dial_ask(const struct tracker *tracker, const struct wire_request *request, struct dial *dial,
	     json_t *kept);

/* What has come, once `fd` is readable: appends whole lines to `came`. The fd is closed when
 * nothing more will come. */
void dial_read(struct dial *dial, json_t *came);

/*
 * Asks the memtree that listens on `path` for anything but events and why. What it refuses is
 * -EREMOTEIO; with any failure the reason is in `ret_refusal` and nothing is said on stderr.
 * -ENOENT or -ECONNREFUSED: there is none. The caller drops the answer.
 */
int dial_request(const char *path, const struct wire_request *request, json_t **ret_answer,
		 struct refusal *ret_refusal);

/* One that is all zero but for an fd of -1 is allowed. */
void dial_close(struct dial *dial);

#endif /* MEMTREE_DIAL_H */

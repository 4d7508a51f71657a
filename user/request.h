/* SPDX-License-Identifier: GPL-2.0-only */
/* What `run`, `add` and `set` are asked for: the options of a tree, and its opening. */
#ifndef MEMTREE_REQUEST_H
#define MEMTREE_REQUEST_H

#include <argp.h>
#include <sys/types.h>

#include "limit.h"
#include "loader.h"
#include "registry.h"

struct tree_options {
	struct tree_request request;
	struct limit_options limit;
	/* Of a tracker of its own: */
	struct loader_options loader;
	uint32_t max_kills; /* trees ended within a minute, 0: any number */
	bool has_max_kills;
};

#define TREE_OPTIONS_DEFAULT                                \
	{                                                   \
		.request =                                  \
			{                                   \
				.metric = MT_METRIC_RSS,    \
				.window_ns = 3000000000ULL, \
			},                                  \
		.max_kills = 30,                            \
	}

/* A child of a command's parser; its input a struct tree_options. */
extern const struct argp request_options;

/* Sizes, names and times as the command line has them; refused in one line (status 2). */
void request_parse_name(const char *command, const char *text, char ret_name[MT_NAME_SIZE]);
uint64_t request_parse_window(const char *command, const char *text);

/* Names it COMM-PID, with what a name may not contain replaced. */
void request_name(struct tree_request *request, const char *comm, pid_t pid);

/* What is for a tracker of its own is refused where another memtree has it: one line, -EINVAL. */
int request_check_shared(const struct tree_options *options);

/* registry_open with its failures said in one line each. */
int request_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree);

#endif /* MEMTREE_REQUEST_H */

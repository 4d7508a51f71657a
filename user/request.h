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
	struct tree_request request; /* policy, metric and window once all is parsed */
	struct choices said;
	const struct choices *base; /* where nothing is said (config.h); NULL: choice_default */
	/* Of a tracker of its own: */
	struct loader_options loader;
	uint32_t max_kills; /* trees ended within a minute, 0: any number */
	bool has_max_kills;
};

#define TREE_OPTIONS_DEFAULT     \
	{                        \
		.max_kills = 30, \
	}

/* A child of a command's parser; its input a struct tree_options. */
extern const struct argp request_options;

/* A name as the command line has it; refused in one line (status 2). */
void request_parse_name(const char *command, const char *text, char ret_name[MT_NAME_SIZE]);

/* Names it COMM-PID, with what a name may not contain replaced. */
void request_name(struct tree_request *request, const char *comm, pid_t pid);

/* registry_open with its failures said in one line each. */
int request_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree);

#endif /* MEMTREE_REQUEST_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What `run`, `add` and `set` are asked for, on the command line or over the socket: the options
 * of a tree by name, its opening and its change. Why something is refused is told to nobody here
 * but by the parsers.
 */
#ifndef MEMTREE_REQUEST_H
#define MEMTREE_REQUEST_H

#include <argp.h>
#include <sys/types.h>

#include "limit.h"
#include "loader.h"
#include "refusal.h"
#include "registry.h"

struct tree_options {
	struct tree_request request; /* policy, metric and window after request_finish */
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

/* What the node's configuration says of a tree, for `base`. Static; one that is wrong is refused in
 * one line (status 2). */
const struct choices *request_base(const char *command);

/* What is to change of a live tree. */
struct change_options {
	char name[MT_NAME_SIZE]; /* empty: stays */
	struct choices said;
};

/* Children of a command's parser, which refuse in one line (status 2); their input a struct
 * tree_options, and a struct change_options. */
extern const struct argp request_options;
extern const struct argp request_changes;

/* Takes one option by its long name, as limit_parse does. */
bool request_parse(const char *name, const char *text, struct tree_options *options,
		   struct refusal *ret_refusal);

/* After the last one: what they mean together. */
bool request_finish(struct tree_options *options, struct refusal *ret_refusal);

/* Names it COMM-PID, with what a name may not contain replaced. */
void request_name(struct tree_request *request, const char *comm, pid_t pid);

/* What is for a tracker of its own is refused where another memtree has it: -EINVAL with the
 * reason. */
int request_check_shared(const struct tree_options *options, struct refusal *ret_refusal);

/* registry_open; negative errno with the reason. */
int request_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree,
		 struct refusal *ret_refusal);

/* As request_parse, of what a live tree can change. */
bool request_parse_change(const char *name, const char *text, struct change_options *options,
			  struct refusal *ret_refusal);

/* Whether anything was said. */
bool request_changes_any(const struct change_options *options);

/* What is to change of a tree as it stands now. */
struct change {
	uint32_t tree;
	const char *name; /* what it is called now */
	uint32_t metric;
	const struct mt_policy *policy;
};

/* Changes it; all that can be refused is looked at before anything is. Negative errno with the
 * reason. */
int request_change(struct tracker *tracker, const struct change *change,
		   const struct change_options *options, struct refusal *ret_refusal);

#endif /* MEMTREE_REQUEST_H */

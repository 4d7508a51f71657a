/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a limit, as run, add and set take them. */
#ifndef MEMTREE_LIMIT_H
#define MEMTREE_LIMIT_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

struct limit_options {
	struct mt_policy policy; /* what was said */
	bool has_limit, has_on_limit, has_grace, has_hard, has_warn, has_scope, has_dry_run;
	bool has_hook, has_hook_timeout, has_confirm, has_vmem_limit, has_rule;
};

/* A child of a command's parser; its input a struct limit_options. */
extern const struct argp limit_argp;

/* What stands without any option. */
extern const struct mt_policy limit_default;

/* Whether anything was said. */
bool limit_said(const struct limit_options *options);

/*
 * Changes `policy` by what was said. Contradictions, and a limit beyond this machine's memory,
 * are refused in one line (status 2).
 */
void limit_apply(const char *command, const struct limit_options *options,
		 struct mt_policy *policy);

#endif /* MEMTREE_LIMIT_H */

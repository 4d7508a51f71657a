/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be said about a limit: the names and values that run, add and set take as options,
 * and requests over the socket likewise. Told to nobody.
 */
#ifndef MEMTREE_LIMIT_H
#define MEMTREE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"
#include "refusal.h"

struct limit_options {
	struct mt_policy policy; /* what was said */
	bool has_limit, has_on_limit, has_grace, has_hard, has_warn, has_scope, has_dry_run;
	bool has_hook, has_hook_timeout, has_confirm, has_vmem_limit, has_rule;
};

/* What stands without any option. */
extern const struct mt_policy limit_default;

/* Whether there is an option of this name: "limit", "on-limit", ... */
bool limit_is_option(const char *name);

/*
 * Takes one option by its name. `text` is its value as the command line has it; of dry-run NULL,
 * "true" or "false". False, with the reason, when the name or the value is none.
 */
bool limit_parse(const char *name, const char *text, struct limit_options *options,
		 struct refusal *ret_refusal);

/* Whether anything was said. */
bool limit_said(const struct limit_options *options);

/*
 * Changes `policy` by what was said. False, with the reason and nothing changed, when that
 * contradicts itself or what stands.
 */
bool limit_apply(const struct limit_options *options, struct mt_policy *policy,
		 struct refusal *ret_refusal);

#endif /* MEMTREE_LIMIT_H */

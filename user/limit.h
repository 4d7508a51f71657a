/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be said about a limit: the names and values that run, add and set take as options,
 * and requests over the socket likewise, with what contradicts itself. The values are those of
 * choice.h. Told to nobody.
 */
#ifndef MEMTREE_LIMIT_H
#define MEMTREE_LIMIT_H

#include <stdbool.h>

#include "choice.h"
#include "refusal.h"

/* Whether there is an option of a limit of this name: "limit", "on-limit", ... */
bool limit_is_option(const char *name);

/*
 * Takes one option by its name. `text` is its value as the command line has it; of dry-run NULL,
 * "true" or "false". False, with the reason, when the name or the value is none.
 */
bool limit_parse(const char *name, const char *text, struct choices *said,
		 struct refusal *ret_refusal);

/* choice_parse with its reason as a refusal. */
bool limit_choose(struct choices *said, enum choice which, const char *text,
		  struct refusal *ret_refusal);

/* Whether anything was said of a limit. */
bool limit_said(const struct choices *said);

/*
 * Changes `whole` by all that was said. False, with the reason and nothing changed, when that
 * contradicts itself or what stands.
 */
bool limit_apply(const struct choices *said, struct choices *whole, struct refusal *ret_refusal);

#endif /* MEMTREE_LIMIT_H */

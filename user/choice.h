/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What may be chosen for a tree, from text: the command line (limit.h, request.h) and the
 * configuration (config.h) both read it here, so that a value means the same in both. Tells nobody
 * and ends nothing: what is wrong is handed back as text.
 */
#ifndef MEMTREE_CHOICE_H
#define MEMTREE_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

enum choice {
	CHOICE_LIMIT,
	CHOICE_WARN,
	CHOICE_ON_LIMIT,
	CHOICE_GRACE,
	CHOICE_HARD_FACTOR,
	CHOICE_WINDOW,
	CHOICE_CONFIRM,
	CHOICE_HOOK,
	CHOICE_HOOK_TIMEOUT,
	CHOICE_METRIC,
	CHOICE_KILL_SCOPE,
	CHOICE_POLICY,
	CHOICE_VMEM_LIMIT,
	CHOICES,
	CHOICE_DRY_RUN = CHOICES, /* a switch without text: of the command line alone */
};

/* Plain values. What was not said holds what stood there before. */
struct choices {
	struct mt_policy policy; /* without id and name */
	uint32_t metric;	 /* bit mask of enum mt_kind */
	uint32_t said;		 /* bits 1 << enum choice */
	uint64_t window_ns;
};

#define CHOICE_TEXT MT_HOOK_SIZE /* room for any choice as text, with its NUL */
#define CHOICE_WHY 192		 /* room for any reason, with its NUL */

/* What stands when nobody says anything. */
extern const struct choices choice_default;

static inline bool choice_is_said(const struct choices *choices, enum choice which)
{
	return choices->said & 1U << which;
}

/* "on-limit": as the long option and the key are called; static. `which` is below CHOICES. */
const char *choice_name(enum choice which);

/*
 * Takes one choice and marks it as said. -EINVAL with the reason, one line that names neither the
 * choice nor where it was said, but may quote what anybody wrote; then nothing is changed.
 * A limit beyond this machine's memory and swap is refused, too.
 */
int choice_parse(struct choices *choices, enum choice which, const char *text,
		 char ret_why[CHOICE_WHY]);

/* As text that choice_parse reads as the same value. Returns `buffer`. */
const char *choice_format(const struct choices *choices, enum choice which,
			  char buffer[CHOICE_TEXT]);

/* What `said` says takes the place of what `whole` has; the rest of that stays. */
void choice_take(struct choices *whole, const struct choices *said);

/* NULL, or why these cannot stand together, whoever said them; static, and what to blame. */
const char *choice_contradiction(const struct choices *whole, enum choice *ret_which);

/* Exact, unlike those of units.h: the shortest that reads as the same number of bytes or
 * nanoseconds. Return `buffer`. */
const char *choice_format_size(uint64_t bytes, char buffer[CHOICE_TEXT]);
const char *choice_format_time(uint64_t ns, char buffer[CHOICE_TEXT]);

#endif /* MEMTREE_CHOICE_H */

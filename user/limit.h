/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a limit, as run, add and set take them. */
#ifndef MEMTREE_LIMIT_H
#define MEMTREE_LIMIT_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "choice.h"

/* A child of a command's parser; its input a struct choices, which holds what was said. */
extern const struct argp limit_argp;

/* choice_parse for a command: what is wrong is refused in one line (status 2). */
void limit_choose(const char *command, struct choices *said, enum choice which, const char *text);

/* Whether anything was said of a limit. */
bool limit_said(const struct choices *said);

/*
 * Changes `whole` by what was said. Contradictions, and a limit beyond this machine's memory, are
 * refused in one line (status 2).
 */
void limit_apply(const char *command, const struct choices *said, struct choices *whole);

#endif /* MEMTREE_LIMIT_H */

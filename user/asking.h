/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ward asks for the proportional set size of its tree: aside, with a deadline, and once more where
 * the answer is none. It looks again when it has one.
 */
#ifndef MEMTREE_ASKING_H
#define MEMTREE_ASKING_H

#include "look.h"
#include "ward.h"

/* What cannot be asked has failed, and the ward's report says why. */
void asking_start(struct ward *ward, const struct look *look, const struct tree *tree);

/* What fits only because a newborn was not asked is no answer, nor what does not fit because
 * somebody ended meanwhile. True when it is asked again. */
bool asking_again(struct ward *ward, const struct look *look, const struct tree *tree);

#endif /* MEMTREE_ASKING_H */

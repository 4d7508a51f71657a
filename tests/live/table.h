/* SPDX-License-Identifier: GPL-2.0-only */
/* What explain shows of a tree, as its JSON has it. */
#ifndef MEMTREE_TEST_TABLE_H
#define MEMTREE_TEST_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "fixture.h"

#define MIB ((int64_t)1 << 20)

/* Starts a scene whose tree exempts nothing, at the scene's own first mark. */
void begin(struct fixture *fixture, const char *scene);

/* The JSON of the fixture's tree; the caller drops it. */
json_t *explain(struct fixture *fixture, const char *options);

const json_t *the_tree(const json_t *root);
const json_t *figure(const json_t *root, const char *key);
/* Fails the test when it is not known. */
int64_t value(const json_t *root, const char *key);
void assert_unknown(const json_t *root, const char *key, const char *reason);
void assert_note(const json_t *root, const char *key, const char *words);
void assert_near(int64_t value, int64_t expected, int64_t tolerance);
bool verdict_has(const json_t *root, const char *words);

/* By what /proc may be off: the kernel's own bound, in every process. */
int64_t slack(struct fixture *fixture);

#endif /* MEMTREE_TEST_TABLE_H */

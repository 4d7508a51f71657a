// SPDX-License-Identifier: GPL-2.0-only
#include "family.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "charge.h"

/* Two tables over the same members. */
struct by_pid {
	uint32_t tgid;
	struct member *member;
	UT_hash_handle hh;
};

struct by_mm {
	uint64_t mm;
	UT_hash_handle hh;
};

static int by_total(const void *a, const void *b)
{
	const struct member *left = a, *right = b;

	if (left->total != right->total)
		return left->total > right->total ? -1 : 1;
	return left->process->start_boot_ns < right->process->start_boot_ns ? -1 : 1;
}

/* The charge of each member; the model's order is by start, so the first user comes first
 * within a tree. */
static int owns_fill(struct family *family, uint32_t metric)
{
	struct by_mm *rows = calloc(family->count + 1, sizeof(*rows)), *seen = NULL, *row;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < family->count; i++) {
		struct member *member = &family->members[i];
		const struct process *process = member->process;

		if (process->zombie)
			continue;
		HASH_FIND(hh, seen, &process->mm, sizeof(process->mm), row);
		if (row)
			continue;
		rows[i].mm = process->mm;
		row = &rows[i];
		HASH_ADD(hh, seen, mm, sizeof(row->mm), row);
		member->own = charge_measure((const __s64 *)process->bytes, metric) -
			      charge_measure((const __s64 *)process->exempt, metric);
	}
	HASH_CLEAR(hh, seen);
	free(rows);
	return 0;
}

static int parents_fill(struct family *family)
{
	struct by_pid *rows = calloc(family->count + 1, sizeof(*rows)), *pids = NULL, *row;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < family->count; i++) {
		row = &rows[i];
		row->member = &family->members[i];
		row->tgid = row->member->process->tgid;
		HASH_ADD(hh, pids, tgid, sizeof(row->tgid), row);
	}
	for (size_t i = 0; i < family->count; i++) {
		const struct process *process = family->members[i].process;

		HASH_FIND(hh, pids, &process->ppid, sizeof(process->ppid), row);
		/* A parent is older; anything else is a pid that was used again meanwhile. */
		if (row && row->member != &family->members[i] &&
		    row->member->process->start_boot_ns <= process->start_boot_ns)
			family->members[i].parent = row->member;
	}
	HASH_CLEAR(hh, pids);
	free(rows);
	return 0;
}

/* Sorting moves the members, so the parents are found again afterwards. */
static int totals_fill(struct family *family)
{
	for (size_t i = 0; i < family->count; i++) {
		struct member *member = &family->members[i];

		/* Bounded, should two records ever claim each other. */
		for (size_t depth = 0; member && depth < family->count; depth++) {
			member->total += family->members[i].own;
			member = member->parent;
		}
	}
	qsort(family->members, family->count, sizeof(*family->members), by_total);
	for (size_t i = 0; i < family->count; i++)
		family->members[i].parent = NULL;
	return parents_fill(family);
}

int family_build(const struct model *model, const struct tree *tree, struct family *ret_family)
{
	struct family family = {};
	int err;

	family.members = calloc(model->process_count + 1, sizeof(*family.members));
	if (!family.members)
		return -ENOMEM;
	for (size_t i = 0; i < model->process_count; i++)
		if (model_is_inside(model, model->processes[i].tree, tree->id))
			family.members[family.count++].process = &model->processes[i];
	err = owns_fill(&family, tree->metric);
	if (!err)
		err = parents_fill(&family);
	if (!err)
		err = totals_fill(&family);
	if (err) {
		family_free(&family);
		return err;
	}
	*ret_family = family;
	return 0;
}

void family_free(struct family *family)
{
	free(family->members);
	memset(family, 0, sizeof(*family));
}

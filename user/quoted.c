// SPDX-License-Identifier: GPL-2.0-only
#include "quoted.h"

#include <errno.h>
#include <string.h>

#include "units.h"

struct table {
	const struct quoted_input *input;
	struct rows *rows;
};

/* --- memtree ---------------------------------------------------------------------------- */

static void rows_of_tree(struct table *table)
{
	const struct quoted_tree *tree = &table->input->tree;
	char window[UNITS_DURATION_TEXT];
	struct row *row;

	table->rows->group = "memtree";
	row = row_add(table->rows, "charged", "charged (memtree)",
		      "metric %s - inherited, each address space once", tree->metric);
	row_know(row, tree->charged);
	row_note(row, "the number that is shown and enforced");
	if (tree->charged_after != tree->charged)
		row_note(row, "%s at the end of this reading", ROW_SIZE(tree->charged_after));
	row = row_add(table->rows, "inherited", "inherited, exempt now",
		      "copy-on-write since a fork, window %s still open",
		      units_format_duration(tree->window_ns, window));
	row_know(row, tree->inherited);
	if (tree->inherited)
		row_note(row, "charged grows by what is left of it when the window ends");
	row = row_add(table->rows, "live", "live (memtree ps --json)",
		      "the kernel side's running count");
	row_know(row, tree->live_charged);
	row_note(row, "off by at most %s: threads or CPUs keep that much back",
		 ROW_SIZE(tree->error_bound));
	row_difference(row, table->input->tree.charged);
	row = row_add(table->rows, "peak", "peak", "highest charged");
	row_know(row, tree->peak);
	row = row_add(table->rows, "rss", "resident",
		      "anon + file + shmem, each address space once");
	row_know(row, tree->rss);
	row_difference(row, table->input->tree.charged);
	row = row_add(table->rows, "swap", "swapped out", "swap entries of the page tables");
	row_know(row, tree->swap);
}

/* --- /proc ------------------------------------------------------------------------------ */

/* What all sums of the processes have in common; false when there is no sum. */
static bool processes_sum_up(const struct table *table, struct row *row)
{
	const struct quoted_input *input = table->input;
	const struct quoted_process *failed = NULL;
	size_t read = 0;

	if (input->procfs_unknown) {
		row_unknown(row, "%s", input->procfs_unknown);
		return false;
	}
	for (size_t i = 0; i < input->count; i++) {
		read += !input->processes[i].err;
		if (input->processes[i].err && !failed)
			failed = &input->processes[i];
	}
	if (failed)
		row_unknown(row, "%zu of %zu processes read; %u: %s", read, input->count,
			    failed->pid, strerror(-failed->err));
	return !failed;
}

/* Or the oldest, when the root is gone; people look at that one then. */
static const struct quoted_process *root_find(const struct quoted_input *input)
{
	for (size_t i = 0; i < input->count; i++)
		if (input->processes[i].is_root)
			return &input->processes[i];
	return input->count ? &input->processes[0] : NULL;
}

static bool root_tells(const struct table *table, struct row *row,
		       const struct quoted_process *root)
{
	if (table->input->procfs_unknown)
		row_unknown(row, "%s", table->input->procfs_unknown);
	else if (!root)
		row_unknown(row, "the tree has no live process");
	else if (root->err)
		row_unknown(row, "process %u: %s", root->pid, strerror(-root->err));
	return !row->unknown[0];
}

static void rows_of_top(struct table *table)
{
	const struct quoted_process *root = root_find(table->input);
	struct row *row;

	row = row_add(table->rows, "top_virt", "VIRT of the root (top)", "statm size");
	if (root_tells(table, row, root)) {
		row_know(row, root->virt);
		row_note(row, "addresses mapped, mostly never touched: no memory");
	}
	row = row_add(table->rows, "top_res", "RES of the root (top)", "statm resident");
	if (root_tells(table, row, root)) {
		row_know(row, root->res);
		row_difference(row, table->input->tree.charged);
		if (table->input->count > 1)
			row_note(row, "the root alone, %zu processes are left out",
				 table->input->count - 1);
	}
	row = row_add(table->rows, "top_shr", "SHR of the root (top)",
		      "statm shared: file + shmem");
	if (root_tells(table, row, root)) {
		row_know(row, root->shr);
		row_note(row, "could be shared; pages shared copy-on-write are not in it");
	}
	for (struct row *one = row - 2; root && one <= row; one++) {
		if (root->leader_gone)
			row_note(one, "top shows 0, as the main thread has exited: this is from "
				      "another thread");
		if (!root->is_root)
			row_note(one, "the root has ended: this is of %u, its oldest", root->pid);
	}
}

/* What each process adds. */
enum addend {
	ADD_FOLK,
	ADD_RES,
	ADD_STAT,
	ADD_VSIZE,
};

static int64_t addend_of(const struct quoted_process *process, bool is_root, enum addend addend)
{
	switch (addend) {
	case ADD_FOLK:
		return is_root ? process->res : process->res - process->shr;
	case ADD_RES:
		return process->res;
	case ADD_STAT:
		return process->stat_rss;
	default:
		return process->vsize;
	}
}

/* Bytes that stand more than once in a sum over processes. */
static int64_t again_bytes(const struct quoted_input *input, enum addend addend,
			   unsigned int *ret_processes)
{
	int64_t bytes = 0;

	*ret_processes = 0;
	for (size_t i = 0; i < input->count; i++) {
		if (!input->processes[i].again)
			continue;
		bytes += addend_of(&input->processes[i], false, addend);
		++*ret_processes;
	}
	return bytes;
}

/* Why a sum over all processes is not what is charged. */
static void note_sum(const struct table *table, struct row *row, enum addend addend)
{
	const struct quoted_input *input = table->input;
	unsigned int sharers, hidden = 0;
	int64_t again = again_bytes(input, addend, &sharers), hidden_bytes = 0;

	row_difference(row, table->input->tree.charged);
	for (size_t i = 0; i < input->count; i++)
		if (input->processes[i].leader_gone && addend == ADD_STAT) {
			hidden++;
			hidden_bytes += input->processes[i].map_rss;
		}
	if (again)
		row_note(row, "%s counted again: %u share an address space (vfork)",
			 ROW_SIZE(again), sharers);
	if (input->tree.inherited)
		row_note(row, "%s inherited is not charged", ROW_SIZE(input->tree.inherited));
	if (hidden)
		row_note(row, "%s of %u are missed: their main thread has exited",
			 ROW_SIZE(hidden_bytes), hidden);
	if (input->tree.orphans && addend == ADD_STAT)
		row_note(row, "YARN misses the orphans");
	if (input->ended || input->began)
		row_note(row, "%u ended and %u began meanwhile", input->ended, input->began);
}

static void row_of_sum(struct table *table, enum addend addend, const char *key, const char *label,
		       const char *formula)
{
	struct row *row = row_add(table->rows, key, label, "%s", formula);
	const struct quoted_process *root = root_find(table->input);
	int64_t sum = 0;

	if (!processes_sum_up(table, row))
		return;
	for (size_t i = 0; i < table->input->count; i++) {
		const struct quoted_process *process = &table->input->processes[i];

		sum += addend_of(process, process == root, addend);
	}
	row_know(row, sum);
	if (addend == ADD_VSIZE)
		row_note(row, "addresses, no memory; shared address spaces count again");
	else
		note_sum(table, row, addend);
	if (addend == ADD_FOLK)
		row_note(row, "SHR is not what they share");
}

static void rows_of_procfs(struct table *table)
{
	table->rows->group = "procfs";
	rows_of_top(table);
	row_of_sum(table, ADD_FOLK, "folk_res", "RES parent + RES children - SHR (folk)",
		   "RES of the root + sum of (RES - SHR) of the others");
	row_of_sum(table, ADD_RES, "res_sum", "sum of RES (top, htop)", "sum of statm resident");
	row_of_sum(table, ADD_STAT, "rss_sum", "sum of RSS (YARN, ps)",
		   "sum of field 24 of stat (kept approximately)");
	row_of_sum(table, ADD_VSIZE, "vmem_sum", "virtual memory (YARN)",
		   "sum of field 23 of stat");
}

/* --- smaps ------------------------------------------------------------------------------ */

static bool smaps_sum_up(const struct table *table, struct row *row)
{
	const struct quoted_input *input = table->input;
	const struct quoted_process *failed = NULL;
	size_t read = 0;

	if (input->procfs_unknown || input->smaps_unknown) {
		row_unknown(row, "%s",
			    input->procfs_unknown ? input->procfs_unknown : input->smaps_unknown);
		return false;
	}
	for (size_t i = 0; i < input->count; i++) {
		const struct quoted_process *process = &input->processes[i];

		read += !process->smaps_err;
		if (process->smaps_err && !failed)
			failed = process;
	}
	if (failed)
		row_unknown(row, "%zu of %zu processes read; %u: %s", read, input->count,
			    failed->pid,
			    failed->smaps_err == -ETIMEDOUT ? "not in time (--pss-timeout)"
							    : strerror(-failed->smaps_err));
	return !failed;
}

static void rows_of_smaps(struct table *table)
{
	int64_t pss = 0, uss = 0, yarn2 = 0, yarn3 = 0;
	struct row *row[4];

	table->rows->group = "smaps";
	for (size_t i = 0; i < table->input->count; i++) {
		const struct quoted_process *process = &table->input->processes[i];

		pss += process->again ? 0 : process->pss;
		uss += process->again ? 0 : process->uss;
		yarn2 += process->yarn2;
		yarn3 += process->yarn3;
	}
	row[0] = row_add(table->rows, "pss", "PSS (smem)",
			 "sum of Pss of smaps, each address space once");
	row[1] = row_add(table->rows, "uss", "USS (smem)", "sum of Private_Clean + Private_Dirty");
	row[2] = row_add(table->rows, "yarn_smaps_2", "YARN with smaps, Hadoop 2",
			 "min(Shared_Dirty, Pss) + Private_*; no r--s, r-xs");
	row[3] = row_add(table->rows, "yarn_smaps_3", "YARN with smaps, Hadoop 3",
			 "Anonymous; no r--s, r-xs");
	for (int i = 0; i < 4; i++) {
		if (!smaps_sum_up(table, row[i]))
			continue;
		row_know(row[i], (int64_t[]){pss, uss, yarn2, yarn3}[i]);
		row_difference(row[i], table->input->tree.charged);
		if (table->input->ended)
			row_note(row[i], "%u ended meanwhile", table->input->ended);
	}
	if (row[0]->known)
		row_note(row[0], "a shared page counts by its share, outsiders' too");
	if (row[1]->known)
		row_note(row[1], "what no other process maps: freed if one ended alone");
}

void quoted_rows(const struct quoted_input *input, struct rows *rows)
{
	struct table table = {.input = input, .rows = rows};

	rows_of_tree(&table);
	rows_of_procfs(&table);
	rows_of_smaps(&table);
}

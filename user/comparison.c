// SPDX-License-Identifier: GPL-2.0-only
#include "comparison.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "charge.h"

/* One of the tree's processes in the maps, with its counterparts. */
struct row {
	const struct process *process;	 /* as it was before */
	const struct process *after;	 /* NULL: gone */
	const struct procfs_stat *stat;	 /* of all of /proc; NULL: not there */
	const struct yarn_process *yarn; /* NULL: not in procfs' tree */
	bool owner; /* of the processes that share its address space the one it counts for */
	UT_hash_handle hh;
};

/* An address space that the tree pays for. */
struct space {
	uint64_t mm;
	struct row *owner;
	UT_hash_handle hh;
};

struct comparer {
	const struct comparison_sources *sources;
	const struct tree *tree;
	struct row *rows;
	struct row *by_pid;
	struct space *space_rows;
	struct space *spaces;
	size_t row_count, space_count;
	struct comparison result;
};

static uint64_t start_ticks(const struct comparison_sources *sources, const struct process *process)
{
	return process->start_boot_ns / (1000000000 / sources->ticks_per_second);
}

static bool is_same(const struct comparison_sources *sources, const struct process *process,
		    const struct procfs_stat *stat)
{
	return (uint32_t)stat->pid == process->tgid &&
	       stat->start_ticks == start_ticks(sources, process);
}

static const struct process *process_find(const struct model *model, uint32_t tgid,
					  uint64_t start_boot_ns)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i].tgid == tgid &&
		    model->processes[i].start_boot_ns == start_boot_ns)
			return &model->processes[i];
	return NULL;
}

static const struct procfs_stat *stat_find(const struct comparison_sources *sources,
					   const struct process *process)
{
	for (size_t i = 0; i < sources->all_count; i++)
		if (is_same(sources, process, &sources->all[i]))
			return &sources->all[i];
	return NULL;
}

static struct row *row_find(struct comparer *comparer, uint32_t pid)
{
	struct row *row;

	HASH_FIND(hh, comparer->by_pid, &pid, sizeof(pid), row);
	return row;
}

static void row_fill(struct comparer *comparer, const struct process *process)
{
	const struct comparison_sources *sources = comparer->sources;
	struct row *row = &comparer->rows[comparer->row_count++];
	struct row *other = row_find(comparer, process->tgid);
	const struct yarn_process *yarn = yarn_tree_find(sources->yarn, (pid_t)process->tgid);

	row->process = process;
	row->after = process_find(sources->after, process->tgid, process->start_boot_ns);
	/* A pid used again is there twice; what /proc has is the later one. */
	if (other && other->process->start_boot_ns > process->start_boot_ns)
		return;
	if (other) {
		other->stat = NULL;
		other->yarn = NULL;
		HASH_DELETE(hh, comparer->by_pid, other);
	}
	row->stat = stat_find(sources, process);
	row->yarn = yarn && is_same(sources, process, &yarn->stat) ? yarn : NULL;
	HASH_ADD_KEYPTR(hh, comparer->by_pid, &process->tgid, sizeof(process->tgid), row);
}

static bool is_charged(const struct comparer *comparer, const struct process *process)
{
	return !process->zombie && process->payer &&
	       model_is_inside(comparer->sources->before, process->payer, comparer->tree->id);
}

/* A shared address space counts for a process that procfs' tree has, if there is one; best for
 * one whose stat tells of it. */
static int claim_rank(const struct row *row)
{
	if (!row->yarn)
		return 0;
	return row->yarn->stat.rss_bytes ? 2 : 1;
}

static void space_claim(struct comparer *comparer, struct row *row)
{
	struct space *space;

	if (!is_charged(comparer, row->process))
		return;
	HASH_FIND(hh, comparer->spaces, &row->process->mm, sizeof(row->process->mm), space);
	if (!space) {
		space = &comparer->space_rows[comparer->space_count++];
		space->mm = row->process->mm;
		HASH_ADD(hh, comparer->spaces, mm, sizeof(space->mm), space);
	} else if (claim_rank(row) <= claim_rank(space->owner)) {
		return;
	} else {
		space->owner->owner = false;
	}
	space->owner = row;
	row->owner = true;
}

static int rows_fill(struct comparer *comparer)
{
	const struct model *before = comparer->sources->before;

	comparer->rows = calloc(before->process_count + 1, sizeof(*comparer->rows));
	comparer->space_rows = calloc(before->process_count + 1, sizeof(*comparer->space_rows));
	if (!comparer->rows || !comparer->space_rows)
		return -ENOMEM;
	for (size_t i = 0; i < before->process_count; i++)
		if (model_is_inside(before, before->processes[i].tree, comparer->tree->id))
			row_fill(comparer, &before->processes[i]);
	for (size_t i = 0; i < comparer->row_count; i++)
		space_claim(comparer, &comparer->rows[i]);
	return 0;
}

static bool has_moved(const struct row *row)
{
	const struct process *before = row->process, *after = row->after;

	return !after || after->zombie != before->zombie || after->mm != before->mm ||
	       memcmp(after->bytes, before->bytes, sizeof(before->bytes)) != 0 ||
	       memcmp(after->live, before->live, sizeof(before->live)) != 0;
}

static void cause_add(struct comparer *comparer, enum cause cause, int64_t bytes)
{
	comparer->result.causes[cause].bytes += bytes;
	comparer->result.causes[cause].processes++;
}

/* Why procfs' tree does not have a member of the maps. */
static enum missed row_missed(struct comparer *comparer, const struct row *row)
{
	const struct procfs_stat *stat = row->stat;
	const struct row *parent, *root = row_find(comparer, comparer->tree->root_tgid);

	if (!stat)
		return has_moved(row) ? MISSED_MEANWHILE : MISSED_UNKNOWN;
	if (!yarn_can_read(stat))
		return MISSED_UNREADABLE;
	if (!root || !root->stat)
		return MISSED_ROOT_GONE;
	parent = row_find(comparer, (uint32_t)yarn_parent(stat));
	if (!parent)
		return stat->ppid == 1 ? MISSED_SESSION : MISSED_REAPER;
	return parent->yarn ? MISSED_UNKNOWN : MISSED_BELOW;
}

static void missed_add(struct comparison_process **list, size_t *count, uint32_t pid, uint32_t ppid,
		       const char *comm, enum missed why, int64_t bytes)
{
	struct comparison_process *missed = &(*list)[(*count)++];

	missed->pid = pid;
	missed->ppid = ppid;
	memcpy(missed->comm, comm, strlen(comm));
	missed->why = why;
	missed->bytes = bytes;
}

static void row_judge_missed(struct comparer *comparer, const struct row *row, int64_t own)
{
	struct comparison *result = &comparer->result;
	enum missed why = row_missed(comparer, row);
	enum cause cause = why == MISSED_UNKNOWN ? CAUSE_UNEXPLAINED : CAUSE_ESCAPED;
	char comm[MT_COMM_SIZE + 1] = {};

	if (row->process->zombie)
		return; /* it has nothing, and may have been reaped */
	memcpy(comm, row->process->comm, MT_COMM_SIZE);
	missed_add(&result->missed_by_procfs, &result->missed_by_procfs_count, row->process->tgid,
		   row->process->ppid, comm, why, own);
	cause_add(comparer, has_moved(row) ? CAUSE_MOVED : cause, own);
}

/* What stat leaves out is bounded: a sum that is wrong is not taken for it. */
static bool is_kept_back(const struct comparer *comparer, const struct process *process,
			 int64_t rss)
{
	const struct comparison_sources *sources = comparer->sources;
	int64_t places = sources->thread_remainders ? process->threads
						    : __builtin_popcount(MT_METRIC_RSS);

	return llabs(bytes_rss(process->bytes) - rss) <= sources->kept_back_bytes * places;
}

/* Of who ran, a figure that is the same before and after need not be that of between. */
static bool has_run(const struct row *row)
{
	return row->process->state == 'R' || row->yarn->stat.state == 'R' ||
	       row->after->state == 'R' || row->after->cpu_ns != row->process->cpu_ns;
}

static enum cause row_cause(const struct comparer *comparer, const struct row *row, int64_t rss)
{
	const struct process *process = row->process;
	bool kept_back = is_kept_back(comparer, process, rss);

	if (has_moved(row))
		return CAUSE_MOVED;
	if (!row->owner && process->payer && kept_back)
		return CAUSE_SHARED_SPACE;
	if (row->owner && !rss && process->state == 'Z')
		return CAUSE_LEADER_EXITED;
	if (row->owner && kept_back)
		return CAUSE_REMAINDERS;
	return has_run(row) ? CAUSE_MOVED : CAUSE_UNEXPLAINED;
}

static void row_judge(struct comparer *comparer, const struct row *row)
{
	int64_t own = row->owner ? bytes_rss(row->process->bytes) : 0, rss;
	enum cause cause;

	if (!row->yarn) {
		row_judge_missed(comparer, row, own);
		return;
	}
	rss = row->yarn->stat.rss_bytes;
	cause = own == rss && !has_moved(row) ? CAUSES : row_cause(comparer, row, rss);
	if (cause != CAUSES)
		cause_add(comparer, cause, own - rss);
	comparer->result.compared += cause != CAUSE_MOVED && !row->process->zombie;
}

/* As a whole, not its main thread alone. An adoption finds the living. */
static bool is_dead(const struct procfs_stat *stat)
{
	return stat->state == 'Z' && stat->threads <= 1 && !stat->rss_bytes;
}

/* Why the maps do not have a process of procfs' tree; those before it are judged. */
static enum missed stat_missed(struct comparer *comparer, const struct procfs_stat *stat)
{
	const struct comparison_sources *sources = comparer->sources;
	const struct comparison *result = &comparer->result;
	uint64_t begun = sources->begun_boot_ns / (1000000000 / sources->ticks_per_second);

	if (stat->start_ticks >= begun)
		return MISSED_MEANWHILE;
	for (size_t i = 0; i < sources->after->process_count; i++)
		if (is_same(sources, &sources->after->processes[i], stat))
			return MISSED_MEANWHILE;
	if (is_dead(stat))
		return MISSED_DEAD;
	if (stat->pid == sources->yarn->root)
		return MISSED_ROOT_AGAIN;
	for (size_t i = 0; i < result->missed_by_map_count; i++)
		if (result->missed_by_map[i].pid == (uint32_t)stat->ppid)
			return result->missed_by_map[i].why;
	return stat->ppid == 1 && stat->session != stat->pid ? MISSED_STRANGER : MISSED_UNTRACKED;
}

static void stat_judge(struct comparer *comparer, const struct yarn_process *yarn)
{
	struct comparison *result = &comparer->result;
	const struct procfs_stat *stat = &yarn->stat;
	struct row *row = row_find(comparer, (uint32_t)stat->pid);
	enum missed why;

	if (row && row->yarn == yarn)
		return;
	why = stat_missed(comparer, stat);
	missed_add(&result->missed_by_map, &result->missed_by_map_count, (uint32_t)stat->pid,
		   (uint32_t)stat->ppid, stat->comm, why, stat->rss_bytes);
	if (why != MISSED_DEAD)
		cause_add(comparer, why == MISSED_MEANWHILE ? CAUSE_MOVED : CAUSE_FOREIGN,
			  -stat->rss_bytes);
}

/* What the tree is charged for although no process of it uses it any more. */
static void unowned_judge(struct comparer *comparer, const struct tree *after)
{
	const struct tree *before = comparer->tree;
	bool moved = after->spaces != before->spaces ||
		     memcmp(after->bytes, before->bytes, sizeof(before->bytes)) != 0;
	struct comparison_cause *cause =
		&comparer->result.causes[moved ? CAUSE_MOVED : CAUSE_UNUSED_SPACE];
	struct comparison_cause left = {bytes_rss(before->bytes), before->spaces};

	for (size_t i = 0; i < comparer->row_count; i++) {
		if (!comparer->rows[i].owner)
			continue;
		left.bytes -= bytes_rss(comparer->rows[i].process->bytes);
		left.processes--;
	}
	if (!left.bytes)
		return;
	cause->bytes += left.bytes;
	cause->processes += left.processes;
}

static void figures_fill(struct comparer *comparer)
{
	const struct yarn_tree *yarn = comparer->sources->yarn;
	const struct tree *tree = comparer->tree;
	struct comparison *result = &comparer->result;

	result->charged = tree->charged;
	result->rss = bytes_rss(tree->bytes);
	result->inherited = tree->inherited;
	result->vmem = tree->vmem;
	memcpy(result->bytes, tree->bytes, sizeof(result->bytes));
	result->processes = tree->processes;
	result->zombies = tree->zombies;
	result->cpu_ns = tree->cpu_ns;
	result->procfs_rss = yarn_tree_memory(yarn, YARN_STAT, 0);
	result->procfs_vmem = yarn_tree_vmem(yarn, 0);
	result->procfs_processes = (uint32_t)yarn->count;
	result->difference = result->charged - result->procfs_rss;
}

static void formula_judge(struct comparer *comparer)
{
	const struct tree *tree = comparer->tree;
	int64_t measured = charge_measure((const __s64 *)tree->bytes, tree->metric);

	if (measured != bytes_rss(tree->bytes))
		cause_add(comparer, CAUSE_METRIC, measured - bytes_rss(tree->bytes));
	comparer->result.causes[CAUSE_INHERITED].bytes = -tree->inherited;
	for (size_t i = 0; i < comparer->row_count; i++)
		if (comparer->rows[i].owner &&
		    charge_measure((const __s64 *)comparer->rows[i].process->exempt, tree->metric))
			comparer->result.causes[CAUSE_INHERITED].processes++;
}

static void births_judge(struct comparer *comparer)
{
	const struct comparison_sources *sources = comparer->sources;
	uint64_t alive = 0;

	if (!sources->last_begun_boot_ns)
		return;
	for (size_t i = 0; i < comparer->row_count; i++)
		alive += comparer->rows[i].process->start_boot_ns >= sources->last_begun_boot_ns;
	if (sources->births > alive)
		comparer->result.causes[CAUSE_BORN_AND_GONE].processes =
			(uint32_t)(sources->births - alive);
}

static int compare(struct comparer *comparer, const struct tree *after)
{
	const struct yarn_tree *yarn = comparer->sources->yarn;
	struct comparison *result = &comparer->result;
	int err = rows_fill(comparer);

	result->missed_by_procfs = calloc(comparer->row_count + 1,
					  sizeof(struct comparison_process));
	result->missed_by_map = calloc(yarn->count + 1, sizeof(struct comparison_process));
	if (err || !result->missed_by_procfs || !result->missed_by_map)
		return -ENOMEM;
	for (size_t i = 0; i < comparer->row_count; i++)
		row_judge(comparer, &comparer->rows[i]);
	for (size_t i = 0; i < yarn->count; i++)
		stat_judge(comparer, &yarn->processes[i]);
	unowned_judge(comparer, after);
	formula_judge(comparer);
	births_judge(comparer);
	figures_fill(comparer);
	return 0;
}

int comparison_make(const struct comparison_sources *sources, uint32_t id,
		    struct comparison *ret_comparison)
{
	struct comparer comparer = {.sources = sources, .tree = model_find(sources->before, id)};
	const struct tree *after = model_find(sources->after, id);
	int err = comparer.tree && after && after->holds ? compare(&comparer, after) : -ENOENT;

	HASH_CLEAR(hh, comparer.by_pid);
	HASH_CLEAR(hh, comparer.spaces);
	free(comparer.rows);
	free(comparer.space_rows);
	if (err) {
		comparison_free(&comparer.result);
		return err;
	}
	*ret_comparison = comparer.result;
	return 0;
}

void comparison_free(struct comparison *comparison)
{
	free(comparison->missed_by_procfs);
	free(comparison->missed_by_map);
	memset(comparison, 0, sizeof(*comparison));
}

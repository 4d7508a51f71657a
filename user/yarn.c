// SPDX-License-Identifier: GPL-2.0-only
#include "yarn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uthash.h>

#include "cleanup.h"

#define INIT 1

/* --- the tree ------------------------------------------------------------------------- */

/* ProcessInfo of ProcfsBasedProcessTree: a process of the node during one pass. */
struct node {
	pid_t pid;
	const struct procfs_stat *stat;
	const struct yarn_process *before;	  /* in the pass before */
	struct node *children, *sibling, *queued; /* queued: behind it in the tree */
	bool reached;
	UT_hash_handle hh;
};

/*
 * The first line must hold everything: BufferedReader.readLine() ends it at \n and \r, and
 * in an expression "." stands for neither these nor U+0085, U+2028 and U+2029. Any other
 * byte passes: what is no UTF-8 becomes U+FFFD. Resident memory must have no sign.
 */
bool yarn_can_read(const struct procfs_stat *stat)
{
	return !strpbrk(stat->comm, "\n\r") && !strstr(stat->comm, "\xc2\x85") &&
	       !strstr(stat->comm, "\xe2\x80\xa8") && !strstr(stat->comm, "\xe2\x80\xa9") &&
	       stat->rss_bytes >= 0;
}

static struct node *node_find(struct node *nodes, pid_t pid)
{
	struct node *node;

	HASH_FIND_INT(nodes, &pid, node);
	return node;
}

static struct node *nodes_fill(struct node *rows, const struct procfs_stat *all, size_t count)
{
	struct node *nodes = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!yarn_can_read(&all[i]))
			continue;
		rows[i].pid = all[i].pid;
		rows[i].stat = &all[i];
		HASH_ADD_INT(nodes, pid, &rows[i]);
	}
	return nodes;
}

pid_t yarn_parent(const struct procfs_stat *stat)
{
	bool is_orphan = stat->ppid == INIT && stat->session != stat->pid;

	return is_orphan ? stat->session : stat->ppid;
}

/* From the last to the first, so that children keep the order of the scan. */
static void children_link(struct node *nodes, struct node *rows, size_t count)
{
	while (count--) {
		struct node *node = &rows[count], *parent;

		if (!node->stat || node->pid == INIT)
			continue;
		parent = node_find(nodes, yarn_parent(node->stat));
		if (parent) {
			node->sibling = parent->children;
			parent->children = node;
		}
	}
}

/* The original would walk in a circle for ever; a stat that was read while its process moved
 * or a pid that was used again meanwhile could make one. Returns how many are in the tree. */
static size_t nodes_queue(struct node *root)
{
	struct node *last = root;
	size_t count = 0;

	root->reached = true;
	for (struct node *node = root; node; node = node->queued) {
		count++;
		for (struct node *child = node->children; child; child = child->sibling) {
			if (child->reached)
				continue;
			child->reached = true;
			last->queued = child;
			last = child;
		}
	}
	return count;
}

/* As updateJiffy() reckons: modulo 2^64 between two passes (a pid that was used again may go
 * back), nothing when the first sum needs 64 bits. */
static int64_t delta_of(const struct procfs_stat *now, const struct yarn_process *before)
{
	uint64_t ticks = now->utime_ticks + now->stime_ticks;

	if (before)
		return (int64_t)(ticks - before->stat.utime_ticks - before->stat.stime_ticks);
	return ticks < now->utime_ticks || ticks > INT64_MAX ? 0 : (int64_t)ticks;
}

static void processes_fill(struct yarn_tree *tree, struct yarn_process *processes,
			   const struct node *root)
{
	struct yarn_process *process = processes;

	for (const struct node *node = root; node; node = node->queued, process++) {
		process->stat = *node->stat;
		process->age = node->before ? node->before->age + 1 : 1;
		process->delta_ticks = delta_of(node->stat, node->before);
		tree->cpu_ticks =
			(int64_t)((uint64_t)tree->cpu_ticks + (uint64_t)process->delta_ticks);
	}
}

static int tree_replace(struct yarn_tree *tree, struct node *nodes)
{
	struct node *root = node_find(nodes, tree->root);
	struct yarn_process *processes = NULL;
	size_t count = root ? nodes_queue(root) : 0;

	if (root) {
		processes = calloc(count, sizeof(*processes));
		if (!processes)
			return -ENOMEM;
		for (size_t i = 0; i < tree->count; i++) {
			struct node *node = node_find(nodes, tree->processes[i].stat.pid);

			if (node)
				node->before = &tree->processes[i];
		}
		processes_fill(tree, processes, root);
	}
	free(tree->processes);
	tree->processes = processes;
	tree->count = count;
	tree->passes++;
	return 0;
}

int yarn_tree_update(struct yarn_tree *tree, const struct procfs_stat *all, size_t count)
{
	_cleanup_free_ struct node *rows = calloc(count + 1, sizeof(*rows));
	struct node *nodes;
	int err;

	if (!rows)
		return -ENOMEM;
	nodes = nodes_fill(rows, all, count);
	children_link(nodes, rows, count);
	err = tree_replace(tree, nodes);
	HASH_CLEAR(hh, nodes);
	return err;
}

void yarn_tree_free(struct yarn_tree *tree)
{
	free(tree->processes);
	memset(tree, 0, sizeof(*tree));
}

const struct yarn_process *yarn_tree_find(const struct yarn_tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->count; i++)
		if (tree->processes[i].stat.pid == pid)
			return &tree->processes[i];
	return NULL;
}

/* --- memory --------------------------------------------------------------------------- */

static int64_t sum(int64_t a, int64_t b)
{
	int64_t both;

	return __builtin_add_overflow(a, b, &both) ? INT64_MAX : both;
}

static int64_t shared_part(const struct procfs_mapping *mapping)
{
	return mapping->shared_dirty < mapping->pss ? mapping->shared_dirty : mapping->pss;
}

void yarn_process_mappings(struct yarn_process *process, const struct procfs_mapping *mappings,
			   size_t count)
{
	int64_t dirty_or_private = 0, anonymous = 0;

	for (size_t i = 0; i < count; i++) {
		const struct procfs_mapping *mapping = &mappings[i];

		if (!strcmp(mapping->permissions, "r--s") || !strcmp(mapping->permissions, "r-xs"))
			continue;
		dirty_or_private = sum(dirty_or_private, shared_part(mapping));
		dirty_or_private = sum(dirty_or_private, mapping->private_dirty);
		dirty_or_private = sum(dirty_or_private, mapping->private_clean);
		anonymous = sum(anonymous, mapping->anonymous);
	}
	process->smaps_bytes[YARN_SMAPS_2] = dirty_or_private;
	process->smaps_bytes[YARN_SMAPS_3] = anonymous;
}

int64_t yarn_tree_memory(const struct yarn_tree *tree, enum yarn_formula formula, uint32_t age)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < tree->count; i++) {
		const struct yarn_process *process = &tree->processes[i];

		if (process->age > age)
			bytes = sum(bytes, formula == YARN_STAT ? process->stat.rss_bytes
								: process->smaps_bytes[formula]);
	}
	return bytes;
}

uint64_t yarn_tree_vmem(const struct yarn_tree *tree, uint32_t age)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < tree->count; i++)
		if (tree->processes[i].age > age &&
		    __builtin_add_overflow(bytes, tree->processes[i].stat.vsize_bytes, &bytes))
			return UINT64_MAX;
	return bytes;
}

/* --- the decision --------------------------------------------------------------------- */

enum yarn_verdict yarn_judge(uint64_t current, uint64_t aged, uint64_t limit)
{
	uint64_t twice = limit > UINT64_MAX / 2 ? UINT64_MAX : 2 * limit;

	if (current > twice)
		return YARN_OVER_TWICE;
	return aged > limit ? YARN_OVER_AGED : YARN_WITHIN;
}

struct yarn_decision yarn_decide(const struct yarn_tree *tree, enum yarn_formula formula,
				 uint64_t limit_bytes, uint64_t vmem_limit_bytes)
{
	struct yarn_decision decision = {
		.skipped = tree->passes < 2 || !tree->count,
		.vmem = yarn_tree_vmem(tree, 0),
		.vmem_aged = yarn_tree_vmem(tree, 1),
		.memory = (uint64_t)yarn_tree_memory(tree, formula, 0),
		.memory_aged = (uint64_t)yarn_tree_memory(tree, formula, 1),
	};

	if (decision.skipped)
		return decision;
	if (vmem_limit_bytes)
		decision.virtual_memory = yarn_judge(decision.vmem, decision.vmem_aged,
						     vmem_limit_bytes);
	if (limit_bytes && decision.virtual_memory == YARN_WITHIN)
		decision.physical_memory = yarn_judge(decision.memory, decision.memory_aged,
						      limit_bytes);
	return decision;
}

bool yarn_kills(const struct yarn_decision *decision)
{
	return decision->virtual_memory != YARN_WITHIN || decision->physical_memory != YARN_WITHIN;
}

/* --- what is written ------------------------------------------------------------------ */

#define SIZE_TEXT 24

/*
 * TraditionalBinaryPrefix.long2String() of Hadoop's StringUtils with one decimal place: below
 * 1024 as it is, multiples of the unit without a decimal, and 1023.95 or more of a unit is 1.0
 * of the next. Java rounds a tie up where printf() takes the even digit: 1.25 GiB is "1.3 G".
 * Sizes from 2^53 on Java divides as doubles; here they are exact.
 */
static const char *size_text(uint64_t bytes, char buffer[SIZE_TEXT])
{
	static const char units[] = "KMGTPE";
	unsigned int unit = 0, shift;
	uint64_t whole, rest, tenths;

	if (bytes < 1024) {
		snprintf(buffer, SIZE_TEXT, "%" PRIu64, bytes);
		return buffer;
	}
	while (units[unit + 1] && bytes >> (10 * (unit + 2)))
		unit++;
	shift = 10 * (unit + 1);
	whole = bytes >> shift;
	rest = bytes & ((UINT64_C(1) << shift) - 1);
	if (!rest) {
		snprintf(buffer, SIZE_TEXT, "%" PRIu64 " %c", whole, units[unit]);
		return buffer;
	}
	tenths = (rest * 10 + (UINT64_C(1) << (shift - 1))) >> shift;
	whole += tenths / 10;
	tenths %= 10;
	if (whole == 1024) {
		whole = 1;
		unit++;
	}
	snprintf(buffer, SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %c", whole, tenths, units[unit]);
	return buffer;
}

char *yarn_reason(const struct yarn_decision *decision, const char *container, uint64_t limit_bytes,
		  uint64_t vmem_limit_bytes)
{
	bool is_virtual = decision->virtual_memory != YARN_WITHIN;
	enum yarn_verdict verdict = is_virtual ? decision->virtual_memory
					       : decision->physical_memory;
	uint64_t current = is_virtual ? decision->vmem : decision->memory;
	uint64_t aged = is_virtual ? decision->vmem_aged : decision->memory_aged;
	bool twice = verdict == YARN_OVER_TWICE;
	char *text;

	if (verdict == YARN_WITHIN ||
	    asprintf(&text,
		     "Process tree for container: %s %s the configured limit. Limit=%" PRIu64
		     ", current usage = %" PRIu64,
		     container,
		     twice ? "running over twice"
			   : "has processes older than 1 iteration running over",
		     is_virtual ? vmem_limit_bytes : limit_bytes, twice ? current : aged) < 0)
		return NULL;
	return text;
}

char *yarn_diagnosis(const struct yarn_decision *decision, pid_t root, const char *container,
		     uint64_t limit_bytes, uint64_t vmem_limit_bytes)
{
	bool is_virtual = decision->virtual_memory != YARN_WITHIN;
	uint64_t beyond = is_virtual ? decision->vmem - vmem_limit_bytes
				     : decision->memory - limit_bytes;
	char memory[SIZE_TEXT], limit[SIZE_TEXT], vmem[SIZE_TEXT], vmem_limit[SIZE_TEXT];
	char *text;

	if (!yarn_kills(decision) ||
	    asprintf(&text,
		     "Container [pid=%d,containerID=%s] is running %" PRIu64
		     "B beyond the '%s' memory limit. Current usage: %sB of %sB physical memory "
		     "used; %sB of %sB virtual memory used. Killing container.\n"
		     "Dump of the process-tree for %s :\n",
		     root, container, beyond, is_virtual ? "VIRTUAL" : "PHYSICAL",
		     size_text(decision->memory, memory), size_text(limit_bytes, limit),
		     size_text(decision->vmem, vmem), size_text(vmem_limit_bytes, vmem_limit),
		     container) < 0)
		return NULL;
	return text;
}

/* As getCmdLine() gives it: one line of it, and "N/A" for nothing. */
static void process_print(FILE *out, const struct procfs_stat *stat, char *cmdline)
{
	const char *line = "N/A";

	if (cmdline)
		cmdline[strcspn(cmdline, "\n\r")] = '\0';
	if (cmdline && *cmdline)
		line = cmdline;
	fprintf(out, "\t|- %d %d %d %d (%s) %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %s\n",
		stat->pid, stat->ppid, stat->pgrp, stat->session, stat->comm, stat->utime_ticks,
		stat->stime_ticks, stat->vsize_bytes, stat->rss_bytes / sysconf(_SC_PAGESIZE),
		line);
}

/* The header promises milliseconds, but the class prints the ticks of stat. */
char *yarn_dump(const struct yarn_tree *tree, char *(*cmdline_of)(void *context, pid_t pid),
		void *context)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	bool failed;

	if (!out)
		return NULL;
	fputs("\t|- PID PPID PGRPID SESSID CMD_NAME USER_MODE_TIME(MILLIS) SYSTEM_TIME(MILLIS) "
	      "VMEM_USAGE(BYTES) RSSMEM_USAGE(PAGES) FULL_CMD_LINE\n",
	      out);
	for (size_t i = 0; i < tree->count; i++) {
		const struct procfs_stat *stat = &tree->processes[i].stat;
		_cleanup_free_ char *cmdline = cmdline_of(context, stat->pid);

		process_print(out, stat, cmdline);
	}
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "pss.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "charge.h"
#include "cleanup.h"

struct question {
	const struct tracker *tracker;
	const struct model *model;
	const struct tree *tree;
	pid_t parent;
};

/* Lines of smaps_rollup (the parts since 5.4), by kind, in kB. */
static const struct {
	const char *name;
	enum mt_kind kind;
} lines[] = {
	{"Pss_Anon:", MT_ANON},
	{"Pss_File:", MT_FILE},
	{"Pss_Shmem:", MT_SHMEM},
	{"SwapPss:", MT_SWAP},
};

static void line_take(const char *line, int64_t bytes[MT_KINDS], unsigned int *found)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t length = strlen(lines[i].name);

		if (strncmp(line, lines[i].name, length))
			continue;
		bytes[lines[i].kind] = strtoll(line + length, NULL, 10) * 1024;
		*found |= 1U << lines[i].kind;
	}
}

/* -ESRCH for a thread that has given its memory back. */
static int rollup_read(int folder, const char *path, uint32_t metric, int64_t *ret_bytes)
{
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	int64_t bytes[MT_KINDS] = {};
	unsigned int found = 0;
	char line[256];
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	int err;

	if (!file)
		return -errno;
	errno = 0;
	while (fgets(line, sizeof(line), file))
		line_take(line, bytes, &found);
	err = ferror(file) ? -errno : found ? 0 : -ESRCH;
	fclose(file);
	if (!err && (found & metric) != metric)
		err = -EPROTO;
	if (!err)
		*ret_bytes = charge_measure((const __s64 *)bytes, metric);
	return err;
}

/* The main thread may have exited before the others. */
static int threads_read(int folder, uint32_t metric, int64_t *ret_bytes)
{
	int fd = openat(folder, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = -ESRCH;
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (tasks && err == -ESRCH && (entry = readdir(tasks))) {
		char path[sizeof(entry->d_name) + sizeof("/smaps_rollup")];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/smaps_rollup", entry->d_name);
		err = rollup_read(fd, path, metric, ret_bytes);
		if (err == -ENOENT)
			err = -ESRCH;
	}
	if (tasks)
		closedir(tasks);
	return err;
}

static bool is_member_still(const struct question *question, const struct process *process)
{
	struct mt_process record;
	uint32_t tgid = process->tgid;

	return !tracker_lookup(question->tracker, MT_MAP_PROCESSES, &tgid, &record) &&
	       record.start_boot_ns == process->start_boot_ns;
}

/*
 * Its folder is opened first: if the member lives after that, the folder is its, whatever the
 * pid is used for later. What it was charged stands for one that ends under the reader, so that
 * nobody hides memory by passing it on.
 */
static int member_read(const struct question *question, const struct process *process,
		       int64_t *ret_bytes, bool *torn)
{
	int64_t charged;
	uint32_t metric = question->tree->metric;
	_cleanup_close_ int folder = -1;
	char path[32];
	int err;

	snprintf(path, sizeof(path), "/proc/%u", process->pid);
	charged = charge_measure((const __s64 *)process->bytes, metric);
	*ret_bytes = charged;
	folder = process->pid ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!is_member_still(question, process)) {
		*torn = true;
		return 0;
	}
	if (folder < 0)
		return -ENOENT;
	err = rollup_read(folder, "smaps_rollup", metric, ret_bytes);
	if (err == -ESRCH)
		err = threads_read(folder, metric, ret_bytes);
	if (err != -ESRCH && is_member_still(question, process))
		return err;
	*torn = true;
	*ret_bytes = charged;
	return 0;
}

static bool is_met(const struct model *model, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (model->processes[i].mm == model->processes[index].mm &&
		    !model->processes[i].zombie)
			return true;
	return false;
}

static struct pss tree_read(const struct question *question)
{
	const struct model *model = question->model;
	struct pss pss = {};

	for (size_t i = 0; i < model->process_count && !pss.err; i++) {
		const struct process *process = &model->processes[i];
		int64_t bytes = 0;

		if (process->zombie || !process->mm ||
		    !model_is_inside(model, process->tree, question->tree->id) || is_met(model, i))
			continue;
		pss.err = member_read(question, process, &bytes, &pss.torn);
		pss.pid = pss.err ? process->tgid : 0;
		pss.bytes += bytes;
	}
	return pss;
}

static int answer(int fd, const void *context)
{
	const struct question *question = context;
	struct pss pss;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != question->parent)
		return 1;
	pss = tree_read(question);
	return write(fd, &pss, sizeof(pss)) != sizeof(pss);
}

int pss_start(struct event_base *loop, const struct tracker *tracker, const struct model *model,
	      const struct tree *tree, uint64_t timeout_ns, errand_done_fn done, void *context,
	      struct errand **ret_errand)
{
	const struct question question = {tracker, model, tree, getpid()};

	_Static_assert(sizeof(struct pss) <= ERRAND_BYTES, "an errand can tell it");
	return errand_start(loop, answer, &question, timeout_ns, done, context, ret_errand);
}

struct pss pss_of(const struct errand_end *end)
{
	struct pss pss = {.err = end->late ? -ETIMEDOUT : -ECHILD};

	if (!end->late && end->length == sizeof(pss))
		memcpy(&pss, end->bytes, sizeof(pss));
	return pss;
}

uint64_t pss_youngest(const struct model *model)
{
	uint64_t start = 0;

	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i].start_boot_ns > start)
			start = model->processes[i].start_boot_ns;
	return start;
}

int64_t pss_newborn_bytes(const struct model *model, const struct tree *tree, uint64_t start)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *process = &model->processes[i];

		if (!process->zombie && process->start_boot_ns > start &&
		    model_is_inside(model, process->tree, tree->id))
			bytes += charge_measure((const __s64 *)process->bytes, tree->metric) -
				 charge_measure((const __s64 *)process->exempt, tree->metric);
	}
	return bytes;
}

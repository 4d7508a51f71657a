// SPDX-License-Identifier: GPL-2.0-only
#include "jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adoption.h"
#include "errand.h"
#include "forget.h"
#include "killing.h"
#include "look.h"
#include "node.h"
#include "registry.h"
#include "request.h"
#include "wire.h"

/* More than any of them takes by itself: killing_run waits for ten seconds. */
#define JOB_NS (15ULL * 1000 * 1000 * 1000)

struct jobs {
	struct event_base *loop;
	struct tracker *tracker;
	const struct choices *base;
	jobs_answer_fn on_answer;
	void *context;
	struct job *first;
};

/* What a job's child tells. */
struct job_result {
	int err;
	struct killing_outcome killed;
};

/* One request. */
struct job {
	struct jobs *jobs;
	struct job *next;
	struct errand *errand;
	uint64_t ticket;
	void (*work)(const struct job *job, struct job_result *result); /* in the child */
	void (*done)(struct job *job, const struct job_result *result); /* it is freed after that */
	uint32_t tree;
	char name[MT_NAME_SIZE];
	struct adoption adoption; /* of add */
	struct mt_policy policy;  /* likewise */
	struct refusal why;	  /* why that failed, while its tree is removed again */
	struct look look;	  /* of rm */
	int signal;		  /* of kill */
	int64_t charged;	  /* before it */
};

static void job_answer(const struct job *job, json_t *object)
{
	job->jobs->on_answer(job->jobs->context, job->ticket, object);
}

static struct job *job_new(struct jobs *jobs, uint64_t ticket)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->jobs = jobs;
	job->ticket = ticket;
	job->adoption.pidfd = -1;
	job->next = jobs->first;
	jobs->first = job;
	return job;
}

static void job_free(struct job *job)
{
	struct job **at = &job->jobs->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	errand_cancel(job->errand);
	adoption_close(&job->adoption);
	look_free(&job->look);
	free(job);
}

static void job_refuse(struct job *job, const struct refusal *why)
{
	job_answer(job, wire_error(why));
	job_free(job);
}

/* Nobody hears of it any more when its memtree has died. */
static int job_main(int fd, const void *context)
{
	const struct job *job = context;
	struct job_result result = {};

	_Static_assert(sizeof(result) <= ERRAND_BYTES, "an errand can tell it");
	job->work(job, &result);
	return write(fd, &result, sizeof(result)) != sizeof(result);
}

static void on_job(void *context, const struct errand_end *end)
{
	struct job_result result = {.err = end->late ? -ETIMEDOUT : -ECHILD};
	struct job *job = context;

	job->errand = NULL;
	if (!end->late && end->length == sizeof(result))
		memcpy(&result, end->bytes, sizeof(result));
	job->done(job, &result);
}

static int job_start(struct job *job)
{
	return errand_start(job->jobs->loop, job_main, job, JOB_NS, on_job, job, &job->errand);
}

/* --- add ------------------------------------------------------------------------------------ */

/* In the child. What has been entered until it failed goes again. */
static void adopt_work(const struct job *job, struct job_result *result)
{
	struct refusal unused;

	result->err = adoption_run(&job->adoption, job->jobs->tracker, job->tree, &unused);
	if (result->err)
		forget_tree(job->jobs->tracker, job->tree);
}

static void forget_work(const struct job *job, struct job_result *result)
{
	result->err = forget_tree(job->jobs->tracker, job->tree);
}

static void unadopt_done(struct job *job, const struct job_result *result)
{
	(void)result;
	job_refuse(job, &job->why);
}

/* Its child was ended in the middle: another one removes what it has entered. */
static void adopt_undo(struct job *job)
{
	job->work = forget_work;
	job->done = unadopt_done;
	if (job_start(job)) {
		registry_close(job->jobs->tracker, job->tree);
		job_refuse(job, &job->why);
	}
}

/* Its limit holds from here on: nobody is signalled because of an adoption that fails. */
static int adopt_finish(const struct job *job, int err)
{
	const struct mt_policy *policy = &job->policy;

	if (!err && (policy->limit || policy->vmem_limit))
		err = registry_policy(job->jobs->tracker, job->tree, policy);
	if (!err)
		err = registry_disown(job->jobs->tracker, job->tree);
	/* Ended, and swept up already. */
	return err == -ENOENT ? -ESRCH : err;
}

static void adopt_done(struct job *job, const struct job_result *result)
{
	const struct tracker *tracker = job->jobs->tracker;
	struct tree shown = {.tracker_id = tracker->id, .id = job->tree};
	int err = adopt_finish(job, result->err);
	const struct tree *tree;
	char id[NODE_ID_TEXT];
	struct look look = {};

	if (err) {
		adoption_explain(&job->adoption, err, &job->why);
		/* A child that has told of its failure has removed what it had entered. */
		if (err == result->err && err != -ETIMEDOUT && err != -ECHILD)
			job_refuse(job, &job->why);
		else
			adopt_undo(job);
		return;
	}
	tree = look_take(tracker, &look) ? NULL : model_find(&look.model, job->tree);
	job_answer(job, json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "name", job->name, "id",
				  node_tree_id(&shown, id), "processes",
				  (json_int_t)(tree ? tree->processes : 0)));
	look_free(&look);
	job_free(job);
}

static bool options_parse_all(const struct wire_request *request, struct tree_options *options,
			      struct refusal *why)
{
	for (unsigned int i = 0; i < request->option_count; i++)
		if (!request_parse(request->options[i].name, request->options[i].value, options,
				   why))
			return false;
	if (options->loader.process_capacity || options->has_max_kills)
		return refusal_set(why, EXIT_USAGE,
				   "capacity and max-kills are for a tracker of its own: this one "
				   "runs already");
	return request_finish(options, why);
}

static bool is_being_added(const struct jobs *jobs, pid_t pid)
{
	for (const struct job *job = jobs->first; job; job = job->next)
		if (job->adoption.pidfd >= 0 && job->adoption.pid == pid)
			return true;
	return false;
}

/* Who it is, and that it may be the root of a tree here. */
static bool root_judge(const struct jobs *jobs, const struct wire_request *request,
		       struct adoption *adoption, struct refusal *why)
{
	if (adoption_open((pid_t)request->pid, adoption, why))
		return false;
	/* What it has started is a part of its tree: this memtree would be, and its errands. */
	if (adoption_is_ancestor(adoption, getpid()))
		return refusal_set(why, EXIT_FAILED,
				   "process %u has started this memtree: add what else it has "
				   "started",
				   request->pid);
	if (adoption_judge_all(adoption, NULL, why) || adoption_judge(adoption, jobs->tracker, why))
		return false;
	if (request->start_boot_ns && request->start_boot_ns != adoption->root.start_boot_ns)
		return refusal_set(why, EXIT_FAILED,
				   "process %u is another one: the one that was meant has ended",
				   request->pid);
	return true;
}

static bool tree_open(struct job *job, struct tree_request *request, struct refusal *why)
{
	const struct mt_census_record *root = &job->adoption.root;

	if (!request->name[0])
		request_name(request, root->comm, job->adoption.pid);
	request->started_boot_ns = root->start_boot_ns;
	job->policy = request->policy;
	request->policy = (struct mt_policy){};
	if (request_open(job->jobs->tracker, request, &job->tree, why))
		return false;
	memcpy(job->name, request->name, sizeof(job->name));
	return true;
}

static bool add_prepare(struct job *job, const struct wire_request *request, struct refusal *why)
{
	struct tree_options options = TREE_OPTIONS_DEFAULT;

	options.base = job->jobs->base;
	if (is_being_added(job->jobs, (pid_t)request->pid))
		return refusal_set(why, EXIT_FAILED, "process %u is being added already",
				   request->pid);
	job->work = adopt_work;
	job->done = adopt_done;
	return options_parse_all(request, &options, why) &&
	       root_judge(job->jobs, request, &job->adoption, why) &&
	       tree_open(job, &options.request, why);
}

/* --- rm and kill ---------------------------------------------------------------------------- */

static void remove_work(const struct job *job, struct job_result *result)
{
	result->err = forget_remove(job->jobs->tracker, &job->look.model,
				    model_find(&job->look.model, job->tree));
}

static void remove_done(struct job *job, const struct job_result *result)
{
	struct refusal why;

	if (result->err) {
		refusal_fail(&why, result->err, "tree %s cannot be removed: %s", job->name,
			     strerror(-result->err));
		job_refuse(job, &why);
		return;
	}
	job_answer(job, json_pack("{s:b}", "ok", 1));
	job_free(job);
}

static void kill_work(const struct job *job, struct job_result *result)
{
	result->err = killing_run(job->jobs->tracker, job->tree, job->signal, &result->killed);
}

static void kill_done(struct job *job, const struct job_result *result)
{
	struct refusal why;
	json_t *report;

	if (result->err)
		refusal_fail(&why, result->err, "tree %s cannot be ended: %s", job->name,
			     strerror(-result->err));
	else if (job->signal == SIGKILL && result->killed.left)
		refusal_set(&why, EXIT_FAILED,
			    "%u processes of %s did not end: {\"op\":\"tree\"} shows them",
			    result->killed.left, job->name);
	if (result->err || (job->signal == SIGKILL && result->killed.left)) {
		job_refuse(job, &why);
		return;
	}
	report = killing_json(job->name, job->signal, job->charged, &result->killed);
	if (report)
		json_object_set_new(report, "ok", json_true());
	job_answer(job, report);
	job_free(job);
}

/* It would die in the middle of its work. */
static bool is_member_self(const struct job *job)
{
	return model_is_inside(&job->look.model, tracker_tree_of_self(job->jobs->tracker),
			       job->tree);
}

/* Of both. */
static bool tree_take(struct job *job, const char *name, struct refusal *why)
{
	const struct tree *tree;
	int err = look_take(job->jobs->tracker, &job->look);

	if (err) {
		refusal_fail(why, err, "the tracker's maps cannot be read: %s", strerror(-err));
		return false;
	}
	tree = node_model_find(&job->look.model, name, why);
	if (!tree)
		return false;
	job->tree = tree->id;
	job->charged = tree->charged;
	memcpy(job->name, tree->name, sizeof(job->name));
	return true;
}

static bool remove_prepare(struct job *job, const struct wire_request *request, struct refusal *why)
{
	job->work = remove_work;
	job->done = remove_done;
	return tree_take(job, request->tree, why);
}

static bool kill_prepare(struct job *job, const struct wire_request *request, struct refusal *why)
{
	job->work = kill_work;
	job->done = kill_done;
	job->signal = request->signal ?: SIGKILL;
	return tree_take(job, request->tree, why) &&
	       (!is_member_self(job) ||
		refusal_set(why, EXIT_FAILED, "this memtree runs inside %s: end that from outside",
			    job->name));
}

/* --- all of them ---------------------------------------------------------------------------- */

/* Nothing was done yet. */
static void job_fail(struct job *job, enum wire_op op, int err)
{
	struct refusal why;

	if (op == WIRE_ADD)
		registry_close(job->jobs->tracker, job->tree);
	refusal_fail(&why, err, "no process can be started for it: %s", strerror(-err));
	job_refuse(job, &why);
}

void jobs_start(struct jobs *jobs, const struct wire_request *request, uint64_t ticket)
{
	struct job *job = job_new(jobs, ticket);
	struct refusal why;
	bool fine;
	int err;

	if (!job) {
		jobs->on_answer(jobs->context, ticket, NULL);
		return;
	}
	if (request->op == WIRE_ADD)
		fine = add_prepare(job, request, &why);
	else if (request->op == WIRE_RM)
		fine = remove_prepare(job, request, &why);
	else
		fine = kill_prepare(job, request, &why);
	if (!fine) {
		job_refuse(job, &why);
		return;
	}
	err = job_start(job);
	if (err)
		job_fail(job, request->op, err);
}

int jobs_open(struct event_base *loop, struct tracker *tracker, const struct choices *base,
	      jobs_answer_fn on_answer, void *context, struct jobs **ret_jobs)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return -ENOMEM;
	*jobs = (struct jobs){
		.loop = loop,
		.tracker = tracker,
		.base = base,
		.on_answer = on_answer,
		.context = context,
	};
	*ret_jobs = jobs;
	return 0;
}

void jobs_close(struct jobs *jobs)
{
	if (!jobs)
		return;
	while (jobs->first)
		job_free(jobs->first);
	free(jobs);
}

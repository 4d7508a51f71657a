// SPDX-License-Identifier: GPL-2.0-only
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "escape.h"
#include "json.h"
#include "policy.h"
#include "snapshot.h"
#include "talk.h"
#include "units.h"

#define SENTENCE 384

/* For a slow terminal, once. */
#define PATIENCE_MS 50

/* When the kernel saw it. */
static int64_t real_of(uint64_t mono_ns)
{
	return (int64_t)(clock_ns(CLOCK_REALTIME) - (clock_ns(CLOCK_MONOTONIC) - mono_ns));
}

/* Lines that were not told since one was. */
static unsigned int unheard;

/*
 * Whoever reads stderr may have stopped reading. What is decided does not wait for that: a line
 * that would block is left out, and counted; records keep what it says. (A pipe that reports room
 * has room for a line. The command shares stderr, so it cannot be made not to block.)
 */
static bool is_heard(void)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (!poll(&room, 1, unheard ? 0 : PATIENCE_MS)) {
		unheard++;
		return false;
	}
	if (unheard)
		talk_error(0, "%u lines were not told, as nobody read stderr: see memtree events",
			   unheard);
	unheard = 0;
	return true;
}

static void say(const char *name, const char *text)
{
	if (is_heard())
		talk_error(0, "%s: %s", name, text);
}

static void mention(const char *name, const char *text)
{
	if (is_heard())
		talk_note("%s: %s", name, text);
}

static const char *label(const struct subject *subject)
{
	return subject->name[0] ? subject->name : "a tree";
}

static json_t *record_now(const struct subject *subject, const char *type, const char *text)
{
	return record_new(subject, type, (int64_t)clock_ns(CLOCK_REALTIME), text);
}

void report_warn(struct serve *serve, const struct subject *subject)
{
	const struct mt_policy *policy = subject->policy;
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text), "near its limit: charged %s of %s (warning at %u.%u%%)",
		 units_format_size(subject->tree->charged, charged),
		 units_format_size((int64_t)policy->limit, limit), policy->warn_permille / 10,
		 policy->warn_permille % 10);
	mention(subject->name, text);
	record = record_now(subject, "warning", text);
	record_add_inputs(record, subject);
	serve_occurrence(serve, record);
}

static bool is_over_hard(const struct mt_policy *policy, const struct tree *tree)
{
	return policy->limit && policy->rule == MT_RULE_EXACT &&
	       tree->charged > policy_hard_limit(policy, tree->shareable - tree->inherited);
}

static bool is_hook_next(const struct report *report, const struct mt_policy *policy)
{
	return policy->hook[0] && !report->hooked;
}

/* What follows, or would. */
static void action_print(const struct report *report, const struct mt_policy *policy,
			 const struct tree *tree, char *text, size_t size)
{
	char grace[UNITS_DURATION_TEXT];
	const char *would = policy->dry_run ? "dry run, it would get " : "";

	if (report->disarmed)
		snprintf(text, size, "nothing is done (disarmed)");
	else if (policy->on_limit == MT_ON_LIMIT_WARN)
		snprintf(text, size, "nothing is done (--on-limit warn)");
	else if (policy->on_limit == MT_ON_LIMIT_KILL)
		snprintf(text, size, "%sSIGKILL", would);
	else if (is_over_hard(policy, tree))
		snprintf(text, size, "%sSIGKILL: beyond the hard limit", would);
	else
		snprintf(text, size, "%s%sSIGTERM, SIGKILL after %s", would,
			 is_hook_next(report, policy) ? "its hook, then " : "",
			 units_format_duration(policy->grace_ns, grace));
}

/* Arguments as captured, NULs as blanks, else the name in brackets; for a terminal. */
static char *command_of(const struct tracker *tracker, const struct process *process)
{
	struct mt_process record = {};
	char text[MT_ARGS_SIZE + 4];
	size_t length;

	if (!process->zombie)
		snapshot_args(tracker, process->tgid, process->start_boot_ns, &record);
	length = record.args_kept < sizeof(record.args) ? record.args_kept : sizeof(record.args);
	for (size_t i = 0; i < length; i++)
		text[i] = record.args[i] ? record.args[i] : ' ';
	if (!length)
		length = (size_t)snprintf(text, sizeof(text), "[%.*s]", MT_COMM_SIZE,
					  process->comm);
	return escape_terminal(text, length);
}

/* Process groups and sessions are the kernel's own answer, not /proc's; cpu time is not told
 * apart, so all of it stands in the first column. */
static void dump_row_print(const struct tracker *tracker, const struct process *process)
{
	_cleanup_free_ char *command = command_of(tracker, process);
	_cleanup_free_ char *comm = escape_terminal(process->comm,
						    strnlen(process->comm, MT_COMM_SIZE));
	pid_t pid = process->pid ? (pid_t)process->pid : -1;

	if (!is_heard())
		return;
	fprintf(stderr, "\t|- %u %u %d %d (%s) %llu 0 %lld %lld %s\n", process->tgid, process->ppid,
		(int)getpgid(pid), (int)getsid(pid), comm ? comm : "?",
		(unsigned long long)(process->cpu_ns / 1000000), (long long)process->vmem,
		(long long)(bytes_rss(process->bytes) / sysconf(_SC_PAGESIZE)),
		command ? command : "?");
}

static void dump_print(const struct subject *subject)
{
	const struct model *model = &subject->look->model;

	if (!is_heard())
		return;
	fprintf(stderr,
		"Dump of the process-tree for %s :\n"
		"\t|- PID PPID PGRPID SESSID CMD_NAME USER_MODE_TIME(MILLIS) "
		"SYSTEM_TIME(MILLIS) VMEM_USAGE(BYTES) RSSMEM_USAGE(PAGES) FULL_CMD_LINE\n",
		subject->name);
	for (size_t i = 0; i < model->process_count; i++)
		if (model_is_inside(model, model->processes[i].tree, subject->id))
			dump_row_print(subject->tracker, &model->processes[i]);
}

/* Which of two limits it is over; the monitor looks at virtual memory first. */
static bool is_over_vmem(const struct mt_policy *policy, const struct tree *tree,
			 const struct report *report)
{
	if (policy->rule == MT_RULE_YARN)
		return report->yarn.virtual_memory != YARN_WITHIN;
	return policy->vmem_limit && (uint64_t)tree->vmem > policy->vmem_limit &&
	       !(policy->limit && tree->charged > (int64_t)policy->limit);
}

/* "1G of 2G virtual", "1G virtual" without a limit: as the monitor puts it. */
static void usage_print(FILE *out, const char *kind, int64_t bytes, uint64_t limit_bytes)
{
	char used[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT];

	fprintf(out, "%sB ", units_format_size(bytes, used));
	if (limit_bytes)
		fprintf(out, "of %sB ", units_format_size((int64_t)limit_bytes, limit));
	fprintf(out, "%s memory used", kind);
}

static void container_print(const struct subject *subject, const struct report *report,
			    int64_t charged_bytes)
{
	const struct mt_policy *policy = subject->policy;
	const struct tree *tree = subject->tree;
	bool is_yarn = policy->rule == MT_RULE_YARN;
	bool is_virtual = is_over_vmem(policy, tree, report);
	int64_t memory = is_yarn ? (int64_t)report->yarn.memory : charged_bytes;
	int64_t vmem = is_yarn ? (int64_t)report->yarn.vmem : tree->vmem;
	int64_t beyond = is_virtual ? vmem - (int64_t)policy->vmem_limit
				    : memory - (int64_t)policy->limit;
	bool kills = !policy->dry_run && policy->on_limit != MT_ON_LIMIT_WARN;

	if (!is_heard())
		return;
	fprintf(stderr,
		"Container [pid=%u,containerID=%s] is running %lldB beyond the '%s' memory limit. "
		"Current usage: ",
		tree->root_tgid, tree->name, (long long)beyond,
		is_virtual ? "VIRTUAL" : "PHYSICAL");
	usage_print(stderr, "physical", memory, policy->limit);
	fputs("; ", stderr);
	usage_print(stderr, "virtual", vmem, policy->vmem_limit);
	fprintf(stderr, ".%s\n", kills ? " Killing container." : "");
}

/* What an act is called where it is kept. */
static const char *over_type(const struct report *report, const struct mt_policy *policy,
			     const struct tree *tree)
{
	if (policy->dry_run || policy->on_limit == MT_ON_LIMIT_WARN)
		return "over";
	if (policy->on_limit == MT_ON_LIMIT_KILL || is_over_hard(policy, tree))
		return "kill";
	return is_hook_next(report, policy) ? "hook" : "term";
}

/* Whether more than the charged figure has decided. */
static void pss_print(const struct report *report, const struct subject *subject)
{
	char pss[UNITS_SIZE_TEXT], text[SENTENCE];

	if (report->pss)
		snprintf(text, sizeof(text), "its PSS of %s does not fit either",
			 units_format_size(report->pss, pss));
	else if (report->pss_unknown[0])
		snprintf(text, sizeof(text), "its PSS is not known (%s): what is charged decides",
			 report->pss_unknown);
	else
		return;
	mention(subject->name, text);
}

static json_t *over_record(const struct subject *subject, const struct report *report,
			   const char *action, const char *text)
{
	json_t *record = record_now(subject, over_type(report, subject->policy, subject->tree),
				    text);

	record_add_inputs(record, subject);
	json_object_set_new(record, "action", json_string(action));
	if (report->pss)
		json_object_set_new(record, "pss", json_integer(report->pss));
	record_add_dump(record, subject);
	return record;
}

/* Why something is done, and what. */
static void over_tell(const struct subject *subject, const struct report *report,
		      const char *action, char text[SENTENCE])
{
	char used[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], inherited[UNITS_SIZE_TEXT];
	const struct mt_policy *policy = subject->policy;
	const struct tree *tree = subject->tree;
	_cleanup_free_ char *reason = NULL;

	if (policy->rule == MT_RULE_YARN)
		reason = yarn_reason(&report->yarn, subject->name, policy->limit,
				     policy->vmem_limit);
	if (reason)
		snprintf(text, SENTENCE, "over its limit: %s, %u processes: %s", reason,
			 tree->processes, action);
	else if (is_over_vmem(policy, tree, report))
		snprintf(text, SENTENCE,
			 "over its limit: virtual memory %s of %s, %u processes: %s",
			 units_format_size(tree->vmem, used),
			 units_format_size((int64_t)policy->vmem_limit, limit), tree->processes,
			 action);
	else
		snprintf(text, SENTENCE,
			 "over its limit: charged %s of %s (inherited and exempt: %s), "
			 "%u processes: %s",
			 units_format_size(tree->charged, used),
			 units_format_size((int64_t)policy->limit, limit),
			 units_format_size(tree->inherited, inherited), tree->processes, action);
}

void report_over(struct serve *serve, const struct subject *subject, struct report *report)
{
	const struct tree *tree = subject->tree;
	char action[128], text[SENTENCE];

	if (!report->begun_mono_ns)
		report->begun_mono_ns = clock_ns(CLOCK_MONOTONIC);
	report->charged = tree->charged;
	report->processes = tree->processes;
	action_print(report, subject->policy, tree, action, sizeof(action));
	pss_print(report, subject);
	over_tell(subject, report, action, text);
	say(subject->name, text);
	container_print(subject, report, tree->charged);
	dump_print(subject);
	serve_occurrence(serve, over_record(subject, report, action, text));
}

void report_kill(struct serve *serve, const struct subject *subject)
{
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text),
		 "SIGKILL for what SIGTERM has left: charged %s of %s, "
		 "%u processes",
		 units_format_size(subject->tree->charged, charged),
		 units_format_size((int64_t)subject->policy->limit, limit),
		 subject->tree->processes);
	say(subject->name, text);
	record = record_now(subject, "kill", text);
	record_add_inputs(record, subject);
	json_object_set_new(record, "action", json_string("SIGKILL after SIGTERM"));
	record_add_dump(record, subject);
	serve_occurrence(serve, record);
}

/* As the kernel had it, not as it is by now. */
static void record_add_event(json_t *record, const struct mt_event *event)
{
	json_object_set_new(record, "charged", json_integer(event->charged));
	json_object_set_new(record, "inherited", json_integer(event->measured - event->charged));
	record_add_process(record, event);
}

void report_stop(struct serve *serve, const struct subject *subject, struct report *report,
		 const struct mt_event *event)
{
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], text[SENTENCE];
	const struct tree *tree = subject->tree;
	json_t *record;

	report->stopped = true;
	report->begun_mono_ns = event->mono_ns;
	report->charged = event->charged;
	/* Who was stopped first may have ended. */
	report->processes = tree && tree->processes ? tree->processes : 1;
	snprintf(text, sizeof(text),
		 "over its limit: stopped by the kernel at %s of %s, process %u first, %s",
		 units_format_size(event->charged, charged),
		 subject->policy->limit ? units_format_size((int64_t)subject->policy->limit, limit)
					: "a limit that is gone",
		 event->tgid, subject->policy->kill_process ? "and no other" : "the others follow");
	say(label(subject), text);
	if (tree) {
		container_print(subject, report, event->charged);
		dump_print(subject);
	}
	record = record_new(subject, "stop", real_of(event->mono_ns), text);
	record_add_inputs(record, subject);
	json_object_set_new(record, "action", json_string("SIGKILL by the kernel"));
	record_add_event(record, event);
	record_add_dump(record, subject);
	serve_occurrence(serve, record);
}

void report_resume(struct serve *serve, const struct subject *subject, bool killing,
		   struct report *report)
{
	char charged[UNITS_SIZE_TEXT], text[SENTENCE];
	json_t *record;

	report->warned = !killing;

	report->begun_mono_ns = clock_ns(CLOCK_MONOTONIC);
	report->charged = subject->tree->charged;
	report->processes = subject->tree->processes;
	snprintf(
		text, sizeof(text),
		"its end had begun when its memtree stopped: goes on with %u processes, charged %s: %s",
		report->processes, units_format_size(report->charged, charged),
		killing ? "SIGKILL" : "SIGTERM once more, SIGKILL follows");
	say(label(subject), text);
	record = record_now(subject, "resumed", text);
	record_add_inputs(record, subject);
	record_add_dump(record, subject);
	serve_occurrence(serve, record);
}

void report_spare(struct serve *serve, const struct subject *subject, int64_t pss)
{
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], fits[UNITS_SIZE_TEXT];
	char text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text),
		 "over its limit by RSS, its PSS fits: left alone (charged %s of %s, PSS %s)",
		 units_format_size(subject->tree->charged, charged),
		 units_format_size((int64_t)subject->policy->limit, limit),
		 units_format_size(pss, fits));
	mention(subject->name, text);
	record = record_now(subject, "spared", text);
	record_add_inputs(record, subject);
	json_object_set_new(record, "pss", json_integer(pss));
	serve_occurrence(serve, record);
}

void report_hook_end(struct serve *serve, const struct subject *subject, bool late, int status)
{
	char timeout[UNITS_DURATION_TEXT], text[SENTENCE];
	json_t *record;

	if (late)
		snprintf(text, sizeof(text), "its hook has not ended within %s: it was killed",
			 units_format_duration(subject->policy->hook_timeout_ns, timeout));
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "its hook was killed by signal %d", WTERMSIG(status));
	else if (status)
		snprintf(text, sizeof(text), "its hook has failed with status %d",
			 WEXITSTATUS(status));
	else
		snprintf(text, sizeof(text), "its hook has ended");
	if (late || status)
		say(label(subject), text);
	record = record_now(subject, "hook_ended", text);
	json_object_set_new(record, "late", json_boolean(late));
	json_object_set_new(record, "status", json_integer(status));
	serve_occurrence(serve, record);
}

void report_hook_in_vain(struct serve *serve, const struct subject *subject,
			 const struct report *report)
{
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], action[128], text[SENTENCE];

	action_print(report, subject->policy, subject->tree, action, sizeof(action));
	pss_print(report, subject);
	snprintf(text, sizeof(text), "its hook has not freed enough: charged %s of %s: %s",
		 units_format_size(subject->tree->charged, charged),
		 units_format_size((int64_t)subject->policy->limit, limit), action);
	say(subject->name, text);
	serve_occurrence(serve, over_record(subject, report, action, text));
}

static const char *why_called_off(const struct subject *subject, const struct report *report)
{
	if (report->disarmed)
		return "disarmed";
	if (subject->tree->charged > (int64_t)subject->policy->limit)
		return "its limit was changed";
	return report->hooked && !report->warned ? "its hook freed enough"
						 : "no longer over its limit";
}

void report_call_off(struct serve *serve, const struct subject *subject,
		     const struct report *report)
{
	char charged[UNITS_SIZE_TEXT], limit[UNITS_SIZE_TEXT], text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text), "%s: charged %s of %s; %s is called off",
		 why_called_off(subject, report),
		 units_format_size(subject->tree->charged, charged),
		 units_format_size((int64_t)subject->policy->limit, limit),
		 report->warned ? "SIGKILL" : "SIGTERM");
	mention(subject->name, text);
	record = record_now(subject, "call_off", text);
	record_add_inputs(record, subject);
	serve_occurrence(serve, record);
}

void report_end(struct serve *serve, const struct subject *subject, const struct report *report)
{
	char freed[UNITS_SIZE_TEXT], text[SENTENCE];
	uint64_t took_ns;
	json_t *record;

	if (!report->begun_mono_ns)
		return;
	took_ns = clock_ns(CLOCK_MONOTONIC) - report->begun_mono_ns;
	snprintf(text, sizeof(text),
		 "ended: %u processes, %s freed, %.1f ms after the crossing was seen",
		 report->processes, units_format_size(report->charged, freed),
		 (double)took_ns / 1e6);
	mention(label(subject), text);
	record = record_now(subject, "ended", text);
	json_object_set_new(record, "processes", json_integer(report->processes));
	json_object_set_new(record, "freed", json_integer(report->charged));
	json_object_set_new(record, "took_ns", json_integer((json_int_t)took_ns));
	json_object_set_new(record, "signals", json_integer(report->killed));
	serve_occurrence(serve, record);
}

/* "PID (COMM)" of who the kernel named; the name is the process's own. */
static const char *who(const struct mt_event *event, char *text, size_t size)
{
	_cleanup_free_ char *comm = escape_terminal(event->comm,
						    strnlen(event->comm, sizeof(event->comm)));

	snprintf(text, size, "%u (%s)", event->tgid, comm ? comm : "?");
	return text;
}

void report_oom(struct serve *serve, const struct subject *subject, const struct mt_event *event)
{
	char charged[UNITS_SIZE_TEXT], process[96], text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text), "process %s was killed by the kernel's OOM killer, charged %s",
		 who(event, process, sizeof(process)), units_format_size(event->charged, charged));
	say(label(subject), text);
	if (subject->tree)
		dump_print(subject);
	record = record_new(subject, "oom", real_of(event->mono_ns), text);
	record_add_inputs(record, subject);
	record_add_event(record, event);
	record_add_dump(record, subject);
	serve_occurrence(serve, record);
}

static const char *story_type(const struct mt_event *event)
{
	switch (event->type) {
	case MT_EVENT_FORK:
		return "fork";
	case MT_EVENT_EXEC:
		return "exec";
	default:
		return "exit";
	}
}

static void story_tell(const struct mt_event *event, char text[SENTENCE])
{
	int status = (int)event->status;
	char process[96];

	who(event, process, sizeof(process));
	if (event->type == MT_EVENT_FORK)
		snprintf(text, SENTENCE, "fork: %s is a child of %u", process, event->ppid);
	else if (event->type == MT_EVENT_EXEC)
		snprintf(text, SENTENCE, "exec: %s", process);
	else if (event->status == MT_STATUS_UNKNOWN)
		snprintf(text, SENTENCE,
			 "exit: %u is gone: its end was not seen, or it is no longer "
			 "tracked",
			 event->tgid);
	else if (WIFSIGNALED(status))
		snprintf(text, SENTENCE, "exit: %s by signal %d", process, WTERMSIG(status));
	else
		snprintf(text, SENTENCE, "exit: %s with status %d", process, WEXITSTATUS(status));
}

void report_story(struct serve *serve, const struct subject *subject, const struct mt_event *event)
{
	char text[SENTENCE];
	json_t *record;

	story_tell(event, text);
	record = record_new(subject, story_type(event), real_of(event->mono_ns), text);
	record_add_process(record, event);
	if (event->type == MT_EVENT_FORK)
		json_object_set_new(record, "ppid", json_integer(event->ppid));
	if (event->type == MT_EVENT_EXIT)
		json_object_set_new(record, "status",
				    event->status == MT_STATUS_UNKNOWN
					    ? json_null()
					    : json_integer(event->status));
	serve_story(serve, record);
}

void report_lost(struct serve *serve, const struct tracker *tracker, uint64_t count)
{
	const struct subject subject = {.tracker = tracker, .name = ""};
	char text[SENTENCE];
	json_t *record;

	snprintf(text, sizeof(text), "%llu forks, execs and exits came too fast and are not told",
		 (unsigned long long)count);
	record = record_now(&subject, "lost", text);
	json_object_set_new(record, "count", json_integer((json_int_t)count));
	serve_story(serve, record);
}

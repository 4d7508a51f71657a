// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree doctor: what this kernel offers, what is used of it, what is missing and what
 * that costs; and whether the trackers of this machine are healthy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "diagnosis.h"
#include "options.h"
#include "talk.h"
#include "tracker.h"
#include "units.h"
#include "vitals.h"

#define MEASURE_NS 1000000000ULL
#define MEASURE_MAX_NS (3600 * 1000000000ULL)

enum { KEY_FOR = 0x3000 };

struct options {
	struct common_options common;
	uint64_t measure_ns;
};

static const struct argp_option table[] = {
	{"for", KEY_FOR, "TIME", 0,
	 "How long to measure what each program costs (1s; 0: not at all). While it lasts "
	 "every BPF program of this machine reads the clock twice more per run",
	 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_FOR:
		if (!units_parse_duration(argument, &options->measure_ns))
			options_refuse("doctor", "'%s' is no duration", argument);
		if (options->measure_ns > MEASURE_MAX_NS)
			options_refuse("doctor", "%s is too long, 1h is the most", argument);
		return 0;
	case ARGP_KEY_ARG:
		options_refuse("doctor", "unexpected argument '%s'", argument);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int trackers_read(struct diagnosis *diagnosis, struct tracker *const *trackers, int count,
			 uint64_t measure_ns)
{
	bool measured = count && measure_ns;
	_cleanup_close_ int statistics = measured ? probe_statistics(&diagnosis->machine) : -1;

	diagnosis->tracker_count = count;
	diagnosis->trackers = calloc((size_t)count + 1, sizeof(*diagnosis->trackers));
	if (!diagnosis->trackers)
		return -ENOMEM;
	return vitals_read(trackers, count, statistics < 0 ? 0 : measure_ns, diagnosis->trackers);
}

/* Where BPF is refused there is nothing to look for. */
static int trackers_examine(struct diagnosis *diagnosis, uint64_t measure_ns)
{
	struct tracker **trackers;
	int count, err;

	if (diagnosis->machine.load_error || diagnosis->machine.walk_error)
		return 0;
	err = trackers_find(&trackers, &count, &diagnosis->foreign_count);
	if (err)
		return talk_error(err, "trackers cannot be looked for: %s", strerror(-err));
	err = trackers_read(diagnosis, trackers, count, measure_ns);
	trackers_close(trackers, count);
	if (err)
		return talk_error(err, "the trackers cannot be read: %s", strerror(-err));
	diagnosis->trackers_known = true;
	return 0;
}

static int diagnose(struct diagnosis *diagnosis, uint64_t measure_ns)
{
	int err;

	probe_surroundings(&diagnosis->surroundings);
	probe_machine(&diagnosis->machine);
	err = trackers_examine(diagnosis, measure_ns);
	features_judge(&diagnosis->machine, diagnosis->features);
	diagnosis->blocker = features_blocker(&diagnosis->machine, diagnosis->features,
					      diagnosis->blocker_text);
	return err;
}

/* One line on stderr for what the exit status says. */
static int verdict_tell(const struct diagnosis *diagnosis)
{
	int unhealthy = diagnosis_unhealthy(diagnosis);

	if (diagnosis->foreign_count)
		talk_note("%d trackers of another build of memtree were not examined",
			  diagnosis->foreign_count);
	if (diagnosis->blocker) {
		talk_error(0, "%s", diagnosis->blocker);
		return EXIT_NOT_POSSIBLE;
	}
	if (!unhealthy)
		return EXIT_OK;
	talk_error(0, "%d of %d trackers %s unhealthy: see what is marked with !", unhealthy,
		   diagnosis->tracker_count, unhealthy == 1 ? "is" : "are");
	return EXIT_FAILED;
}

int command_doctor(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "",
		.doc = "What this kernel offers, what is used, what is missing and what that costs; "
		       "and whether the trackers are healthy. Exit status: 0 usable and healthy, "
		       "1 a tracker is not healthy, 4 memtree cannot run here.",
		.children = children,
	};
	struct options options = {.measure_ns = MEASURE_NS};
	struct diagnosis diagnosis = {};
	int status, printed = EXIT_OK;

	options_parse(&argp, "doctor", argc, argv, &options);
	if (diagnose(&diagnosis, options.measure_ns)) {
		free(diagnosis.trackers);
		return EXIT_FAILED;
	}
	if (options.common.json)
		printed = diagnosis_print_json(&diagnosis);
	else
		diagnosis_print_text(&diagnosis);
	status = verdict_tell(&diagnosis);
	free(diagnosis.trackers);
	return status ? status : printed;
}

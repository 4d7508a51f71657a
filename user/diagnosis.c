// SPDX-License-Identifier: GPL-2.0-only
#include "diagnosis.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "talk.h"
#include "tracker.h"
#include "units.h"

int diagnosis_unhealthy(const struct diagnosis *diagnosis)
{
	int unhealthy = 0;

	for (int i = 0; i < diagnosis->tracker_count; i++)
		unhealthy += !health_judge(&diagnosis->trackers[i]);
	return unhealthy;
}

/* --- for people -------------------------------------------------------------------------- */

static void verdict_print(const struct diagnosis *diagnosis)
{
	int unhealthy = diagnosis_unhealthy(diagnosis);

	if (diagnosis->blocker)
		printf("verdict   NOT usable: %s", diagnosis->blocker);
	else
		printf("verdict   usable");
	if (!diagnosis->trackers_known)
		printf("; trackers: only root can look for them");
	else if (!diagnosis->tracker_count)
		printf("; no tracker runs");
	else if (unhealthy)
		printf("; %d of %d trackers UNHEALTHY", unhealthy, diagnosis->tracker_count);
	else
		printf("; trackers: %d, healthy", diagnosis->tracker_count);
	putchar('\n');
}

static void user_print(const struct diagnosis *diagnosis)
{
	const bool *capabilities = diagnosis->machine.capabilities;
	int missing = 0;

	printf("user      uid %u;", diagnosis->surroundings.uid);
	for (int i = 0; i < CAPABILITIES; i++) {
		missing += !capabilities[i];
		if (capabilities[i])
			printf(" %s", capability_name((enum capability)i));
	}
	if (missing)
		printf("%s", missing < CAPABILITIES ? "; without" : " without");
	for (int i = 0; i < CAPABILITIES && missing; i++)
		if (!capabilities[i])
			printf(" %s", capability_name((enum capability)i));
	putchar('\n');
}

static void settings_print(const struct diagnosis *diagnosis)
{
	const struct surroundings *surroundings = &diagnosis->surroundings;
	const struct machine *machine = &diagnosis->machine;
	char size[UNITS_SIZE_TEXT];

	printf("settings  unprivileged_bpf_disabled ");
	if (surroundings->unprivileged_bpf < 0)
		printf("not readable");
	else
		printf("%d (root: no matter)", surroundings->unprivileged_bpf);
	printf("; lockdown %s",
	       surroundings->lockdown[0] ? surroundings->lockdown : "not readable");
	if (machine->asked[FEATURE_BTF] == ANSWER_YES && !machine->kernel.memlock_charged) {
		printf("; no matter: ulimit -l, perf_event_paranoid\n");
		return;
	}
	printf("; ulimit -l %s%s; no matter: perf_event_paranoid\n",
	       machine->memlock_bytes == UINT64_MAX
		       ? "unlimited"
		       : units_format_size((int64_t)machine->memlock_bytes, size),
	       machine->capabilities[CAPABILITY_SYS_RESOURCE] ? " (raised when loading)" : "");
}

static void machine_print(const struct diagnosis *diagnosis)
{
	const struct surroundings *surroundings = &diagnosis->surroundings;

	printf("kernel    %s %s, CPUs: %d of %d\n", surroundings->release,
	       surroundings->architecture, diagnosis->machine.cpus_online,
	       diagnosis->machine.cpus_possible);
	user_print(diagnosis);
	settings_print(diagnosis);
}

static void features_print(const struct diagnosis *diagnosis)
{
	printf("\n%-17s %-8s %s\n", "FEATURE", "STATE", "WHAT FOR, OR WHAT ITS ABSENCE COSTS");
	for (int i = 0; i < FEATURES; i++)
		printf("%-17s %-8s %s\n", diagnosis->features[i].name,
		       feature_state_name(diagnosis->features[i].state),
		       diagnosis->features[i].why);
}

static void losses_print(const struct vitals *vitals)
{
	bool any = false;

	for (int i = 0; i < MT_LOSSES; i++) {
		enum mt_loss loss = (enum mt_loss)i;
		uint64_t open = loss_open(vitals, loss);

		if (!vitals->losses[i])
			continue;
		any = true;
		printf("%s lost     %s %llu, %llu not healed: %s\n", open ? "!" : " ",
		       loss_name(loss), (unsigned long long)vitals->losses[i],
		       (unsigned long long)open, loss_meaning(loss));
	}
	if (!any)
		printf("  lost     nothing\n");
}

static void fills_print(const struct vitals *vitals)
{
	bool critical = false;

	for (int i = 0; i < FILLS; i++)
		critical |= fill_is_critical(vitals, (enum fill)i);
	printf("%s full    ", critical ? "!" : " ");
	for (int i = 0; i < FILLS; i++)
		printf(" %s %u/%u%s", fill_name((enum fill)i), vitals->used[i], vitals->capacity[i],
		       fill_is_critical(vitals, (enum fill)i) ? "(!)" : "");
	putchar('\n');
}

static void program_print(const struct vitals *vitals, const struct program_cost *program)
{
	char misses[24] = "-";

	if (vitals->misses_known)
		snprintf(misses, sizeof(misses), "%llu", (unsigned long long)program->misses);
	if (vitals->measured_ns)
		printf("  %-15s %10.0f %10.0f %8.3f %8s\n", program->name,
		       cost_events_per_second(vitals, program), cost_ns_per_event(program),
		       cost_cpu_percent(vitals, program), misses);
	else
		printf("  %-15s %10s %10s %8s %8s\n", program->name, "-", "-", "-", misses);
}

static void programs_print(const struct vitals *vitals, uint64_t measuring_ns)
{
	struct program_cost sum = cost_sum(vitals);

	printf("  %-15s %10s %10s %8s %8s\n", "PROGRAM", "EVENTS/S", "NS/EVENT", "CPU%", "MISSES");
	for (int i = 0; i < vitals->program_count; i++)
		program_print(vitals, &vitals->programs[i]);
	program_print(vitals, &sum);
	if (vitals->measured_ns)
		printf("  for %.2f s, in %% of one CPU; about %llu ns of each event are the "
		       "measuring\n",
		       (double)vitals->measured_ns / 1e9, (unsigned long long)measuring_ns);
	if (vitals->misses_known && sum.misses)
		printf("  handlers were preempted and missed %llu events; a twin has seen most "
		       "of them\n",
		       (unsigned long long)sum.misses);
}

static void tracker_print(const struct vitals *vitals, uint64_t measuring_ns)
{
	printf("\ntracker #%u of pid %u: ", vitals->id, vitals->loader_tgid);
	if (vitals->gone) {
		printf("has ended meanwhile\n");
		return;
	}
	printf("%s\n", health_judge(vitals) ? "healthy" : "UNHEALTHY");
	fills_print(vitals);
	losses_print(vitals);
	programs_print(vitals, measuring_ns);
}

void diagnosis_print_text(const struct diagnosis *diagnosis)
{
	verdict_print(diagnosis);
	machine_print(diagnosis);
	features_print(diagnosis);
	for (int i = 0; i < diagnosis->tracker_count; i++)
		tracker_print(&diagnosis->trackers[i], diagnosis->machine.measuring_ns);
}

/* --- as JSON -------------------------------------------------------------------------------- */

static json_t *json_maybe(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *json_count(uint64_t count)
{
	return json_integer((json_int_t)count);
}

static json_t *json_kernel(const struct diagnosis *diagnosis)
{
	const struct surroundings *surroundings = &diagnosis->surroundings;
	const struct machine *machine = &diagnosis->machine;
	json_t *kernel = json_pack("{s:s, s:s, s:i, s:i, s:b}", "release", surroundings->release,
				   "architecture", surroundings->architecture, "cpus_online",
				   machine->cpus_online, "cpus_possible", machine->cpus_possible,
				   "btf", machine->asked[FEATURE_BTF] == ANSWER_YES);

	json_object_set_new(kernel, "unprivileged_bpf_disabled",
			    surroundings->unprivileged_bpf < 0
				    ? json_null()
				    : json_integer(surroundings->unprivileged_bpf));
	json_object_set_new(kernel, "lockdown", json_maybe(surroundings->lockdown));
	json_object_set_new(kernel, "memlock_matters",
			    json_boolean(machine->kernel.memlock_charged));
	json_object_set_new(kernel, "memlock_bytes",
			    machine->memlock_bytes == UINT64_MAX
				    ? json_null()
				    : json_count(machine->memlock_bytes));
	json_object_set_new(kernel, "measuring_ns", json_count(machine->measuring_ns));
	return kernel;
}

static json_t *json_user(const struct diagnosis *diagnosis)
{
	json_t *capabilities = json_object();

	for (int i = 0; i < CAPABILITIES; i++)
		json_object_set_new(capabilities, capability_name((enum capability)i),
				    json_boolean(diagnosis->machine.capabilities[i]));
	return json_pack("{s:I, s:o}", "uid", (json_int_t)diagnosis->surroundings.uid,
			 "capabilities", capabilities);
}

static json_t *json_features(const struct diagnosis *diagnosis)
{
	json_t *features = json_array();

	for (int i = 0; i < FEATURES; i++)
		json_array_append_new(features,
				      json_pack("{s:s, s:s, s:s}", "name",
						diagnosis->features[i].name, "state",
						feature_state_name(diagnosis->features[i].state),
						"why", diagnosis->features[i].why));
	return features;
}

static json_t *json_program(const struct vitals *vitals, const struct program_cost *program)
{
	bool measured = vitals->measured_ns;
	json_t *object = json_pack("{s:s}", "name", program->name);

	json_object_set_new(object, "events", measured ? json_count(program->events) : json_null());
	json_object_set_new(object, "events_per_second",
			    measured ? json_real(cost_events_per_second(vitals, program))
				     : json_null());
	json_object_set_new(object, "ns_per_event",
			    measured ? json_integer(llround(cost_ns_per_event(program)))
				     : json_null());
	json_object_set_new(object, "cpu_percent",
			    measured ? json_real(cost_cpu_percent(vitals, program)) : json_null());
	json_object_set_new(object, "misses",
			    vitals->misses_known ? json_count(program->misses) : json_null());
	return object;
}

static json_t *json_maps(const struct vitals *vitals)
{
	json_t *maps = json_object();

	for (int i = 0; i < FILLS; i++)
		json_object_set_new(maps, fill_name((enum fill)i),
				    json_pack("{s:I, s:I}", "used", (json_int_t)vitals->used[i],
					      "capacity", (json_int_t)vitals->capacity[i]));
	return maps;
}

static json_t *json_vitals(const struct vitals *vitals)
{
	json_t *losses = json_object(), *unhealed = json_object(), *programs = json_array();

	for (int i = 0; i < MT_LOSSES; i++) {
		enum mt_loss loss = (enum mt_loss)i;

		json_object_set_new(losses, loss_name(loss), json_count(vitals->losses[i]));
		json_object_set_new(unhealed, loss_name(loss), json_count(loss_open(vitals, loss)));
	}
	for (int i = 0; i < vitals->program_count; i++)
		json_array_append_new(programs, json_program(vitals, &vitals->programs[i]));
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:b}", "id", (json_int_t)vitals->id,
			 "pid", (json_int_t)vitals->loader_tgid, "maps", json_maps(vitals),
			 "losses", losses, "unhealed", unhealed, "programs", programs,
			 "measured_ns", (json_int_t)vitals->measured_ns, "healthy",
			 health_judge(vitals));
}

int diagnosis_print_json(const struct diagnosis *diagnosis)
{
	json_t *trackers = json_array(), *document;
	int failed;

	for (int i = 0; i < diagnosis->tracker_count; i++)
		if (!diagnosis->trackers[i].gone)
			json_array_append_new(trackers, json_vitals(&diagnosis->trackers[i]));
	document = json_pack(
		"{s:o, s:o, s:o, s:o, s:i, s:o, s:b, s:o}", "kernel", json_kernel(diagnosis),
		"user", json_user(diagnosis), "features", json_features(diagnosis), "trackers",
		trackers, "foreign_trackers", diagnosis->foreign_count, "healthy",
		diagnosis->trackers_known ? json_boolean(!diagnosis_unhealthy(diagnosis))
					  : json_null(),
		"usable", !diagnosis->blocker, "reason", json_maybe(diagnosis->blocker));
	failed = !document || json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
	if (failed && !ferror(stdout))
		talk_error(0, "the JSON document cannot be built: out of memory");
	return failed ? EXIT_FAILED : EXIT_OK;
}

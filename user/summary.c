// SPDX-License-Identifier: GPL-2.0-only
#include "summary.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "dial.h"
#include "escape.h"
#include "health.h"
#include "look.h"
#include "talk.h"
#include "units.h"

static void tree_tell(const struct tree *tree, uint64_t begun_mono_ns)
{
	char peak[UNITS_SIZE_TEXT], when[UNITS_TIME_TEXT];
	double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begun_mono_ns) / 1e9;

	talk_detail("%s: %s after %.3f s; peak %s charged at %s; processes %llu, bytes left %lld",
		    tree->name, tree->holds ? "left" : "ended", seconds,
		    units_format_size(tree->peak, peak),
		    units_format_time(tree->peak_real_ns, when), (unsigned long long)tree->forks,
		    (long long)tree->charged);
}

void summary_tell(const struct tracker *tracker, uint32_t tree, uint64_t begun_mono_ns)
{
	const struct tree *row;
	struct look look;

	if (talk_level < TALK_VERBOSE || look_take_tree(tracker, tree, &look))
		return;
	row = model_find(&look.model, tree);
	if (row)
		tree_tell(row, begun_mono_ns);
	look_free(&look);
}

void summary_tell_verdicts(const struct tracker *tracker, uint32_t tree, const char *name)
{
	struct wire_request request = {.op = WIRE_WHY};
	struct dial dial = {.fd = -1};
	json_t *verdicts = json_array();

	snprintf(request.tree, sizeof(request.tree), "#%u.%u", tracker->id, tree);
	/* Of one that is not there, its successor will tell. */
	if (verdicts && !kill((pid_t)tracker->header.loader_tgid, 0))
		dial_ask(tracker, &request, &dial, verdicts);
	for (size_t i = 0; i < json_array_size(verdicts); i++) {
		const char *text =
			json_string_value(json_object_get(json_array_get(verdicts, i), "text"));
		_cleanup_free_ char *clean = text ? escape_terminal(text, strlen(text)) : NULL;

		if (clean)
			talk_note("%s: %s", name, clean);
	}
	dial_close(&dial);
	json_decref(verdicts);
}

void summary_tell_losses(const struct tracker *tracker, const char *name)
{
	uint64_t losses[MT_LOSSES];

	if (tracker_losses(tracker, losses))
		return;
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (losses[loss] && loss_effect((enum mt_loss)loss) == LOSS_IS_HEALED)
			talk_detail("%s: missed %llu events, found by a census: %s", name,
				    (unsigned long long)losses[loss],
				    loss_name((enum mt_loss)loss));
		else if (losses[loss] && loss_effect((enum mt_loss)loss) != LOSS_IS_TOLD)
			talk_note("%s: lost %llu events: %s (%u process slots, see --capacity)",
				  name, (unsigned long long)losses[loss],
				  loss_name((enum mt_loss)loss), tracker->header.process_capacity);
}

// SPDX-License-Identifier: GPL-2.0-only
#include "look.h"

static int take(const struct tracker *tracker, uint32_t tree, bool shown, struct look *ret_look)
{
	struct look look;
	int err = tree ? snapshot_read_tree(tracker, tree, &look.snapshot)
		       : snapshot_read(tracker, &look.snapshot);

	if (err)
		return err;
	if (shown)
		err = snapshot_read_cgroups(tracker, &look.snapshot);
	if (shown && !err)
		err = snapshot_read_losses(tracker, &look.snapshot);
	if (!err)
		err = model_build(&look.snapshot, &look.model);
	if (err) {
		snapshot_free(&look.snapshot);
		return err;
	}
	*ret_look = look;
	return 0;
}

int look_take(const struct tracker *tracker, struct look *ret_look)
{
	return take(tracker, 0, false, ret_look);
}

int look_take_tree(const struct tracker *tracker, uint32_t tree, struct look *ret_look)
{
	return take(tracker, tree, false, ret_look);
}

int look_take_shown(const struct tracker *tracker, uint32_t tree, struct look *ret_look)
{
	return take(tracker, tree, true, ret_look);
}

void look_free(struct look *look)
{
	model_free(&look->model);
	snapshot_free(&look->snapshot);
}

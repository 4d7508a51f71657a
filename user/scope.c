// SPDX-License-Identifier: GPL-2.0-only
#include "scope.h"

#include <errno.h>
#include <stdlib.h>

static bool is_inside(const struct mt_settings *settings, uint32_t slots, uint32_t id,
		      uint32_t ancestor)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		const struct mt_settings *own = &settings[id & (slots - 1)];

		if (id == ancestor)
			return true;
		id = own->id == id ? own->parent : 0;
	}
	return false;
}

int scope_choose(const struct mt_settings *settings, uint32_t slots, uint32_t tree,
		 struct scope *ret_scope)
{
	struct scope scope = {.tree = tree, .slots = slots, .ids = calloc(slots, sizeof(uint32_t))};

	if (!scope.ids)
		return -ENOMEM;
	*ret_scope = scope;
	/* One that is gone may be somebody's parent still. */
	if (tree && settings[tree & (slots - 1)].id != tree)
		return 0;
	for (uint32_t slot = 0; slot < slots; slot++) {
		uint32_t id = settings[slot].id;

		/* A name in a slot that is not its own is nobody's. */
		if (!id || (id & (slots - 1)) != slot ||
		    (tree && !is_inside(settings, slots, id, tree)))
			continue;
		scope.ids[slot] = id;
		scope.count++;
	}
	*ret_scope = scope;
	return 0;
}

void scope_free(struct scope *scope)
{
	free(scope->ids);
	scope->ids = NULL;
}

bool scope_has(const struct scope *scope, uint32_t tree)
{
	return tree && scope->ids[tree & (scope->slots - 1)] == tree;
}

void scope_drop(struct scope *scope, uint32_t tree)
{
	if (!scope_has(scope, tree))
		return;
	scope->ids[tree & (scope->slots - 1)] = 0;
	scope->count--;
}

size_t scope_places(const struct scope *scope, const uint32_t *trees, uint32_t count,
		    uint32_t *ret_places)
{
	size_t found = 0;

	for (uint32_t place = 0; place < count; place++) {
		/* Written meanwhile: looked at once. */
		uint32_t tree = __atomic_load_n(&trees[place], __ATOMIC_RELAXED);

		if (tree && (!scope->tree || scope_has(scope, tree)))
			ret_places[found++] = place;
	}
	return found;
}

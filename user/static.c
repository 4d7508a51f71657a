// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into the static binary only: the libelf.a of Debian 13 (elfutils 0.192) calls
 * two functions that it does not contain (elfutils bug 32293). Nothing that would fill the
 * tree they keep is linked, so doing nothing is right. A libelf.a that has them overrides
 * these, as they are weak.
 */
struct search_tree;

void eu_search_tree_init(struct search_tree *tree);
void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *node));

__attribute__((weak)) void eu_search_tree_init(struct search_tree *tree)
{
	(void)tree;
}

__attribute__((weak)) void eu_search_tree_fini(struct search_tree *tree,
					       void (*free_node)(void *node))
{
	(void)tree;
	(void)free_node;
}

// SPDX-License-Identifier: MIT
// Doubly linked circular lists; a node is a member of what it links.
#pragma once

#include "lib/types.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void list_push_back(struct list *l, struct list *node)
{
	list_insert_before(l, node);
}
static inline void list_push_front(struct list *l, struct list *node)
{
	list_insert_before(l->next, node);
}

// Leaves the node as an empty list of its own, so that removing it twice is harmless.
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(l, type, member)    (list_empty(l) ? NULL : list_entry((l)->next, type, member))
#define list_last(l, type, member)     (list_empty(l) ? NULL : list_entry((l)->prev, type, member))
#define list_for_each(pos, l)          for (struct list *pos = (l)->next; pos != (l); pos = pos->next)

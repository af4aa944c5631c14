// SPDX-License-Identifier: MIT
// Typed addresses, so that guest-physical and host-physical do not mix by accident.
#pragma once

#include "lib/types.h"

// Guest-physical and host-physical byte addresses. A host-virtual address is a pointer.
typedef struct {
	u64 v;
} gpa_t;

typedef struct {
	u64 v;
} hpa_t;

#define HPA_NONE ((hpa_t){~0ull})

static inline gpa_t gpa(u64 v)
{
	return (gpa_t){v};
}
static inline hpa_t hpa(u64 v)
{
	return (hpa_t){v};
}
static inline gpa_t gpa_add(gpa_t a, u64 n)
{
	return (gpa_t){a.v + n};
}
static inline hpa_t hpa_add(hpa_t a, u64 n)
{
	return (hpa_t){a.v + n};
}
static inline bool hpa_is_none(hpa_t a)
{
	return a.v == ~0ull;
}

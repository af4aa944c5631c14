// SPDX-License-Identifier: MIT
// Integer names used everywhere, in the kernel and in programs that run on a host.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + ((__typeof__(x))(a)-1), a)
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define COLD                                                                                       \
	__attribute__((cold)) // runs rarely: compiled for size in files that are compiled for speed
#define MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define MAX(a, b)                     ((a) > (b) ? (a) : (b))
#define BIT(n)                        (1ull << (n))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define KiB 1024ull
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull

_Static_assert(sizeof(void *) == 8, "64-bit only");

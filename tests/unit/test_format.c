// SPDX-License-Identifier: MIT
// The kernel's formatter against libc's snprintf, and its own rules.
// link: lib/format.c
#include "tests/unit/test.h"
#include "lib/format.h"

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char a[200], b[200];                                                               \
		size_t n = format(a, sizeof(a), __VA_ARGS__);                                      \
		CHECK_EQ(n, (size_t)snprintf(b, sizeof(b), __VA_ARGS__));                          \
		CHECK(strcmp(a, b) == 0);                                                          \
	} while (0)

TEST(numbers)
{
	SAME("%d %i %u %x", -5, 7, 4000000000u, 0xbeefu);
	SAME("%ld %lx %lu %zu", -1L, 0xdeadbeefcafeUL, 12345678901234UL, (size_t)99);
	SAME("%5d|%-5d|%05d|%5x|%-6x|", 42, 42, -42, 0xabu, 0xabu);
	SAME("%#x %#lx %d", 0x10u, 0xffUL, (int)0x80000000u);
	SAME("%lld %llx", (long long)INT64_MIN, 0xffffffffffffffffull);
}

TEST(strings)
{
	SAME("[%s] [%8s] [%-8s] [%.3s] [%.*s] %c%%", "abc", "abc", "abc", "abcdef", 2, "abcdef",
		'x');
	SAME("%*d", 6, 42);
}

TEST(truncation)
{
	char buf[8];

	CHECK_EQ(format(buf, sizeof(buf), "%s", "0123456789"), 10);
	CHECK(strcmp(buf, "0123456") == 0);
	CHECK_EQ(format(NULL, 0, "abc"), 3);
}

TEST_MAIN()

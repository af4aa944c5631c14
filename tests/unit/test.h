// SPDX-License-Identifier: MIT
// The harness of the unit tests: TEST(name) { CHECK(...); } and a TEST_MAIN() at the end of the file.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*fn)(void);
	struct test *next;
};

static struct test *test_list;
static struct test **test_tail = &test_list;
static int test_failures; // of the running test

#define TEST(id)                                                                                   \
	static void test_##id(void);                                                               \
	static struct test test_entry_##id = {#id, test_##id, NULL};                               \
	__attribute__((constructor)) static void test_add_##id(void)                               \
	{                                                                                          \
		*test_tail = &test_entry_##id;                                                     \
		test_tail = &test_entry_##id.next;                                                 \
	}                                                                                          \
	static void test_##id(void)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #cond);   \
			test_failures++;                                                           \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);     \
		if (a_ != b_) {                                                                    \
			fprintf(stderr, "%s:%d: %s is %#llx, expected %s = %#llx\n", __FILE__,     \
				__LINE__, #a, a_, #b, b_);                                         \
			test_failures++;                                                           \
		}                                                                                  \
	} while (0)

__attribute__((unused)) static int test_run_all(void)
{
	int passed = 0, failed = 0;

	for (struct test *t = test_list; t; t = t->next) {
		test_failures = 0;
		t->fn();
		if (test_failures) {
			failed++;
			printf("FAIL %s\n", t->name);
		} else {
			passed++;
		}
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}

#define TEST_MAIN()                                                                                \
	int main(void)                                                                             \
	{                                                                                          \
		return test_run_all();                                                             \
	}

// SPDX-License-Identifier: MIT
// link: kernel/core/cmdline.c
// The kernel's command line.
#include "tests/unit/test.h"
#include "kernel/core/cmdline.h"

TEST(finds_words)
{
	cmdline_set("console=frames  trace\tpanic=reset cpus=2 ");
	CHECK(cmdline_has("trace"));
	CHECK(cmdline_has("cpus"));
	CHECK(!cmdline_has("cpu"));
	CHECK(!cmdline_has("race"));
	CHECK(!cmdline_has("frames"));
	CHECK(cmdline_is("console", "frames"));
	CHECK(!cmdline_is("console", "frame"));
	CHECK(!cmdline_is("trace", ""));
}

TEST(copies_values)
{
	char out[5];

	cmdline_set("a a= b=x=y long=123456789 b=z");
	CHECK(cmdline_get("a", out, sizeof(out)) && strcmp(out, "") == 0);
	CHECK(cmdline_get("b", out, sizeof(out)) && strcmp(out, "x=y") == 0);
	CHECK(cmdline_get("long", out, sizeof(out)) && strcmp(out, "1234") == 0);
	CHECK(!cmdline_get("c", out, sizeof(out)));
	CHECK(!cmdline_get("a", out, 0));
}

TEST(bears_an_empty_line)
{
	char out[4];

	cmdline_set("");
	CHECK(!cmdline_has("a") && !cmdline_get("a", out, sizeof(out)));
	cmdline_set("   ");
	CHECK(!cmdline_has("") && !cmdline_is("a", "b"));
}

TEST_MAIN()

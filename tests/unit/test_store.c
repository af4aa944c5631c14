// SPDX-License-Identifier: MIT
// Definitions on the disk: what was acknowledged is there whenever the process that wrote it is killed, and a file is whole; what no
// definition is is left alone.
// link: mezzd/store.c mezzd/definitions.c mezzd/state.c config/definition.c config/config.c config/config_boot.c config/config_net.c config/config_disks.c config/document.c common/words.c common/util.c -lyaml -ljson-c
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>

#include "common/util.h"
#include "config/definition.h"
#include "mezzd/definitions.h"
#include "mezzd/store.h"

static char folder[64], top[] = "/tmp/test_store.XXXXXX";
static struct definitions all;

static bool has(const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return access(path, F_OK) == 0;
}

static void put(const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write_all(fd, text, strlen(text)) != 0)
		abort();
	close(fd);
}

// With a command line of so many characters.
static struct json_object *definition(const char *name, size_t length)
{
	char line[4096], error[CONFIG_ERROR_MAX];
	char *text;
	struct json_object *o;

	memset(line, 'x', length);
	line[length] = 0;
	text = print_text("{\"name\": \"%s\", \"memory\": \"64MiB\", \"vcpus\": 1, \"order\": 7, "
			  "\"autostart\": true, \"cmdline\": \"%s\"}",
		name, line);
	o = definition_parse(text, strlen(text), error);
	free(text);
	if (!o)
		abort();
	return o;
}

static int add(const char *name, size_t length)
{
	struct json_object *o = definition(name, length);
	int error = definitions_add(&all, o);

	json_object_put(o);
	return error;
}

static void begin(void)
{
	CHECK(definitions_open(&all, folder));
	while (all.first)
		CHECK_EQ(definitions_remove(&all, all.first), 0);
}

static void again(void)
{
	definitions_close(&all);
	CHECK(definitions_open(&all, folder));
}

TEST(what_is_defined_stays)
{
	begin();
	CHECK_EQ(add("web", 10), 0);
	CHECK_EQ(add("db", 0), 0);
	CHECK_EQ(add("web", 0), (unsigned long long)-EEXIST);
	again();
	CHECK_EQ(all.count, 2);
	CHECK(strcmp(all.first->name, "db") == 0 && definitions_find(&all, "web"));
	CHECK(all.first->autostart && all.first->order == 7);
	CHECK_EQ(definitions_remove(&all, definitions_find(&all, "db")), 0);
	CHECK(!has("db.json") && has("web.json"));
	again();
	CHECK(all.count == 1 && !definitions_find(&all, "db"));
	definitions_close(&all);
}

TEST(what_is_no_definition_is_left_alone)
{
	begin();
	put("half.json.new", "{");
	put("broken.json", "{");
	put("other.json", "{\"name\": \"web\"}");
	put("note.txt", "x");
	CHECK_EQ(add("web", 0), 0);
	again();
	CHECK_EQ(all.count, 1);
	CHECK(!has("half.json.new") && has("broken.json") && has("other.json") && has("note.txt"));
	definitions_close(&all);
	CHECK_EQ(store_remove(folder, "broken"), 0);
	CHECK_EQ(store_remove(folder, "other"), 0);
}

TEST(a_folder_that_cannot_be_used)
{
	CHECK(!store_open("/proc/none/vms"));
	CHECK(!store_open("/tmp")); // others may write there
	CHECK_EQ(store_put("/none", "web", "x", 1), (unsigned long long)-ENOENT);
	CHECK_EQ(store_remove("/none", "web"), (unsigned long long)-ENOENT);
}

TEST(there_is_an_end_of_room)
{
	begin();
	all.count = DEFINITIONS_MAX;
	CHECK_EQ(add("web", 0), (unsigned long long)-ENOSPC);
	all.count = 0;
	definitions_close(&all);
	CHECK(!has("web.json"));
}

// The process that is killed: defines and deletes, and notes each of them when it was acknowledged.
static _Noreturn void work(int notes)
{
	char note[2] = "";

	for (unsigned n = 0;; n++) {
		char name[16];

		snprintf(name, sizeof(name), "vm%u", n % 5);
		if (n % 10 < 5 ? add(name, n * 37 % 2000)
			       : definitions_remove(&all, definitions_find(&all, name)))
			_exit(1);
		note[0] = (char)(n % 10);
		if (write(notes, note, 1) != 1)
			_exit(2);
	}
}

// How many steps were acknowledged.
static unsigned steps(int notes)
{
	unsigned n = 0;
	char note;

	while (read(notes, &note, 1) == 1)
		n++;
	return n;
}

// After n of ten steps, of which the n-th may have been done without being acknowledged.
static void check_steps(unsigned n)
{
	for (unsigned i = 0; i < 5; i++) {
		unsigned at = n % 10;
		bool there = at <= 5 ? i < at : i >= at - 5, unsure = i == at % 5;
		char name[16];

		snprintf(name, sizeof(name), "vm%u", i);
		if (!unsure)
			CHECK_EQ(definitions_find(&all, name) != NULL, there);
	}
}

TEST(killed_at_any_moment)
{
	unsigned sum = 0;

	for (useconds_t after = 0; after < 20000; after += 500) {
		int notes[2];
		pid_t pid;
		unsigned n;

		begin();
		CHECK_EQ(pipe(notes), 0);
		pid = fork();
		if (pid == 0)
			work(notes[1]);
		close(notes[1]);
		usleep(after);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		n = steps(notes[0]);
		close(notes[0]);
		definitions_close(&all);
		CHECK(definitions_open(&all, folder));
		check_steps(n);
		sum += n;
		definitions_close(&all);
	}
	CHECK(sum > 0);
}

int main(void)
{
	char command[128];
	int status;

	if (!mkdtemp(top))
		return 1;
	snprintf(folder, sizeof(folder), "%s/lib/mezz/vms", top);
	status = test_run_all();
	snprintf(command, sizeof(command), "rm -r %s", top);
	return system(command) == 0 ? status : 1;
}

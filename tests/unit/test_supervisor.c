// SPDX-License-Identifier: MIT
// The supervisor of back-ends, with real processes (a shell script plays mezz-backend) and a list of VMs that the test makes: who is
// started, and again after which pause; what a mezzd finds that follows one that was killed; that there is one only.
// link: mezzd/supervisor.c mezzd/process.c mezzd/state.c mezzd/loop.c common/util.c
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/device.h"
#include "common/util.h"
#include "mezzd/network.h"
#include "mezzd/supervisor.h"

// What the script does is the text of FOLDER/NAME.do; each start is noted in FOLDER/starts.
static const char script[] = "#!/bin/sh\n"
			     "cd \"${0%/*}\" || exit 9\n"
			     "echo \"$1 $$\" >>starts\n"
			     "read -r what <\"$1.do\"\n"
			     "case $what in\n"
			     "stay) exec sleep 1000 ;;\n"
			     "kill) kill -9 $$ ;;\n"
			     "*) exit \"$what\" ;;\n"
			     "esac\n";

static char folder[] = "/tmp/test_supervisor.XXXXXX";
static char program[64];
static struct supervisor supervisor;
static struct loop loop;

// ---- the machine

static struct mezz_vm vms[8];
static size_t vm_count;
static bool plugs = true; // networks can be plugged
static unsigned plugged, kept;

bool device_vm(uint64_t from, struct mezz_vm *vm, bool *found)
{
	*found = false;
	for (size_t i = 0; i < vm_count && !*found; i++)
		if (vms[i].id >= from) {
			*vm = vms[i];
			*found = true;
		}
	return true;
}

struct mezz_vm *device_vms(size_t *count)
{
	*count = vm_count;
	return memcpy(allocate(sizeof(vms)), vms, sizeof(vms));
}

// A VM without any is called "bare".
int device_vm_line(uint64_t id, unsigned n, char *line, size_t size)
{
	for (size_t i = 0; i < vm_count; i++)
		if (vms[i].id == id && strcmp(vms[i].name, "bare") != 0 && n == 0)
			return snprintf(line, size, "disk device nvme0n1 rw");
	return -ENOENT;
}

bool network_plug_vm(uint32_t vm, const char *name)
{
	(void)vm;
	(void)name;
	plugged++;
	return plugs;
}

void network_keep(const uint32_t *ids, size_t count)
{
	(void)ids;
	kept += count == vm_count;
}

// ---- files

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (fd < 0 || write_all(fd, text, strlen(text)) != 0)
		abort();
	close(fd);
}

// The starts of this VM's back-ends so far, and their processes.
static unsigned starts(const char *name, pid_t *pids, unsigned max)
{
	char path[128], who[32];
	unsigned n = 0;
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/starts", folder);
	f = fopen(path, "r");
	while (f && fscanf(f, "%31s %d", who, &pid) == 2)
		if (strcmp(who, name) == 0) {
			if (n < max)
				pids[n] = pid;
			n++;
		}
	if (f)
		fclose(f);
	return n;
}

static unsigned count(const char *name)
{
	return starts(name, NULL, 0);
}

static pid_t last(const char *name)
{
	pid_t pids[64] = {0};
	unsigned n = starts(name, pids, 64);

	return n ? pids[n - 1] : 0;
}

static bool has_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

// ---- time

static void time_over(struct loop_timer *t)
{
	(void)t;
	loop_end(&loop);
}

static void run_for(int ms)
{
	struct loop_timer timer = {.due = time_over};

	loop.ended = false;
	loop_set(&loop, &timer, clock_ms() + ms);
	CHECK(loop_run(&loop));
}

// Runs until there were so many starts, 10 s at most.
static void run_until(const char *name, unsigned n)
{
	for (int i = 0; i < 1000 && count(name) < n; i++)
		run_for(10);
	CHECK(count(name) >= n);
}

// ---- a test's begin and end

static struct mezz_vm *add_vm(const char *name, uint32_t id, uint32_t state)
{
	struct mezz_vm *vm = &vms[vm_count++];

	*vm = (struct mezz_vm){.id = id, .state = state};
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	return vm;
}

static void begin(void)
{
	memset(vms, 0, sizeof(vms));
	vm_count = 0;
	add_vm("root", 0, MEZZ_VM_RUNNING)->is_root = 1;
	plugs = true;
	write_file("starts", "", 0600);
	write_file("web.do", "stay\n", 0600);
	write_file("db.do", "stay\n", 0600);
	CHECK(loop_open(&loop));
}

static void supervise(void)
{
	supervisor_start(&supervisor, &loop, folder, program);
}

// Those of a mezzd that was killed have become children of this process.
static bool lives(pid_t pid)
{
	pid_t result = waitpid(pid, NULL, WNOHANG);

	return result == 0 || (result < 0 && kill(pid, 0) == 0);
}

static pid_t spared; // a child that no test's end kills

// The parent of a process, from /proc/PID/stat (proc(5)); 0: there is no such process.
static pid_t parent_of(const char *pid)
{
	char path[300];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	if (f)
		fclose(f);
	return parent;
}

// Whoever is a child of this process now, also one that has not come to noting its start.
static bool kill_children(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool any = false;

	while (processes && (entry = readdir(processes))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || pid == spared || parent_of(entry->d_name) != getpid())
			continue;
		any = true;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (processes)
		closedir(processes);
	return any;
}

static void end(void)
{
	supervisor_stop(&supervisor);
	loop_close(&loop);
	while (kill_children())
		;
	write_file("web.pid", "", 0600);
	write_file("db.pid", "", 0600);
}

TEST(who_needs_a_back_end_gets_one)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	add_vm("bare", 4, MEZZ_VM_RUNNING);
	add_vm("../x", 5, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	add_vm("db", 7, MEZZ_VM_RUNNING);
	run_until("db", 1);
	run_for(1200);
	CHECK_EQ(count("web") + count("db"), 2);
	CHECK_EQ(count("root") + count("bare") + count("../x"), 0);
	CHECK(lives(last("web")) && has_file("web.pid") && has_file("db.pid"));
	CHECK_EQ(plugged, 2);
	CHECK(kept >= 2);
	end();
}

TEST(who_dies_is_started_again_at_once)
{
	pid_t first;
	int64_t then;

	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	first = last("web");
	then = clock_ms();
	kill(first, SIGKILL);
	run_until("web", 2);
	CHECK(clock_ms() - then < SUPERVISOR_PAUSE_MS);
	CHECK(!lives(first) && lives(last("web")));
	write_file("web.do", "0\n", 0600); // it ends well, though its VM is there
	kill(last("web"), SIGTERM);
	run_until("web", 4);
	end();
}

TEST(pauses_grow)
{
	unsigned n;

	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	write_file("web.do", "kill\n", 0600);
	supervise();
	supervisor.backends->quick = -1000; // it has had those
	for (int i = 0; i < 100 && supervisor.backends->pause < 256; i++)
		run_for(50); // 1 + 2 + 4 + ... + 128 ms, and what each start takes
	n = count("web");
	CHECK(n >= 5 && n <= 12);
	CHECK(supervisor.backends->pause >= 256);
	supervisor.backends->pause = SUPERVISOR_PAUSE_MS;
	loop_set(&loop, &supervisor.backends->timer, clock_ms());
	run_until("web", n + 1);
	run_for(300);
	CHECK_EQ(supervisor.backends->pause, SUPERVISOR_PAUSE_MS);
	end();
}

// Who is killed now and then is not made to wait for it.
TEST(short_pauses_come_first)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	write_file("web.do", "kill\n", 0600);
	supervise();
	run_until("web", SUPERVISOR_QUICK / 2);
	CHECK_EQ(supervisor.backends->pause, 1);
	for (int i = 0; i < 200 && supervisor.backends->pause == 1; i++)
		run_for(100);
	CHECK(supervisor.backends->pause > 1);
	write_file("web.do", "stay\n", 0600);
	run_for(1000); // one that stays, whatever the last pause
	CHECK(lives(last("web")));
	supervisor.backends->counted -= 3 * SUPERVISOR_REFILL;
	kill(last("web"), SIGKILL);
	run_until("web", count("web") + 1);
	CHECK_EQ(supervisor.backends->pause, 1);
	end();
}

TEST(who_has_lived_long_begins_anew)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	supervisor.backends->pause = SUPERVISOR_PAUSE_MS;
	supervisor.backends->since -= SUPERVISOR_LONG_MS;
	kill(last("web"), SIGKILL);
	run_until("web", 2);
	CHECK_EQ(supervisor.backends->pause, 1);
	end();
}

TEST(a_back_end_ends_with_its_vm)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	vm_count = 1;
	kill(last("web"), SIGTERM);
	run_for(1500);
	CHECK(!supervisor.backends && !has_file("web.pid"));
	CHECK_EQ(count("web"), 1);
	end();
}

TEST(one_that_goes_on_without_its_vm_is_killed)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	vm_count = 1;
	run_for(1500);
	CHECK(lives(last("web")) && supervisor.backends && supervisor.backends->timer.set);
	loop_set(&loop, &supervisor.backends->timer, clock_ms());
	run_for(200);
	CHECK(!supervisor.backends && !lives(last("web")));
	end();
}

TEST(a_number_that_another_vm_gets)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervise();
	run_until("web", 1);
	vm_count = 1;
	add_vm("db", 3, MEZZ_VM_WAITING);
	kill(last("web"), SIGTERM);
	run_until("db", 1);
	run_for(100);
	CHECK_EQ(count("web"), 1);
	CHECK(supervisor.backends && !supervisor.backends->next);
	end();
}

TEST(another_ones_back_end_is_waited_for)
{
	struct mezz_vm *vm;

	begin();
	vm = add_vm("web", 3, MEZZ_VM_RUNNING);
	vm->has_backend = 1;
	supervise();
	run_for(500);
	CHECK_EQ(count("web"), 0);
	vm->has_backend = 0;
	run_until("web", 1);
	end();
}

TEST(without_networks_it_waits)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	plugs = false;
	supervise();
	run_for(300);
	CHECK_EQ(count("web"), 0);
	plugs = true;
	run_until("web", 1);
	end();
}

TEST(a_program_that_is_not_there)
{
	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	supervisor_start(&supervisor, &loop, folder, "/nonexistent/mezz-backend");
	supervisor.backends->quick = -1000;
	run_for(300);
	CHECK(supervisor.backends && supervisor.backends->pause > 4);
	end();
}

// ---- one after the other

// A mezzd, in a process of its own.
static pid_t fork_mezzd(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (!state_lock(folder) || !loop_open(&loop)) // not the loop of the process that forked it
		_exit(1);
	supervise();
	loop_run(&loop);
	_exit(0);
}

static void kill_mezzd(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(the_next_one_finds_what_runs)
{
	pid_t first, mezzd;

	begin();
	add_vm("web", 3, MEZZ_VM_WAITING);
	mezzd = fork_mezzd();
	run_until("web", 1);
	first = last("web");
	kill_mezzd(mezzd);
	CHECK(lives(first));
	vms[1].has_backend = 1;
	vms[1].state = MEZZ_VM_RUNNING;
	supervise();
	run_for(300);
	CHECK_EQ(count("web"), 1);
	CHECK(supervisor.backends->runs && supervisor.backends->process.pid == first);
	vms[1].has_backend = 0;
	kill(first, SIGKILL);
	run_until("web", 2);
	CHECK(!lives(first) && lives(last("web")));
	end();
}

TEST(numbers_of_other_processes_are_not_believed)
{
	char text[64];
	pid_t other = fork();

	if (other == 0) {
		pause();
		_exit(0);
	}
	begin();
	spared = other;
	add_vm("web", 3, MEZZ_VM_WAITING);
	snprintf(text, sizeof(text), "%d 1\n", other); // has been started at another time
	write_file("web.pid", text, 0600);
	add_vm("db", 4, MEZZ_VM_WAITING);
	write_file("db.pid", "1 0\n", 0600);
	supervise();
	run_until("web", 1);
	run_until("db", 1);
	end();
	CHECK(lives(other));
	spared = 0;
	kill_mezzd(other);
}

// How many back-ends of the VM live.
static unsigned living(const char *name)
{
	pid_t pids[64];
	unsigned n = starts(name, pids, 64), alive = 0;

	for (unsigned i = 0; i < n && i < 64; i++)
		alive += lives(pids[i]);
	return alive;
}

// mezzd is killed at its start, a little later each time; the next one sees to it that there is one back-end, not two.
TEST(killed_at_any_moment)
{
	unsigned late = 0;

	for (useconds_t after = 0; after < 12000; after += 500) {
		pid_t mezzd;

		begin();
		add_vm("web", 3, MEZZ_VM_WAITING);
		mezzd = fork_mezzd();
		usleep(after);
		kill_mezzd(mezzd);
		late += count("web");
		mezzd = fork_mezzd();
		run_until("web", 1);
		run_for(20);
		CHECK_EQ(living("web"), 1);
		CHECK_EQ(count("web"), 1);
		kill_mezzd(mezzd);
		supervisor = (struct supervisor){.loop = &loop};
		end();
	}
	CHECK(late > 0);
}

// ---- the lock

TEST(there_is_one_mezzd_only)
{
	int ready[2], status = 0;
	pid_t first, second;
	char c;

	CHECK_EQ(pipe(ready), 0);
	first = fork();
	if (first == 0) {
		bool ok = state_lock(folder);

		if (write(ready[1], ok ? "y" : "n", 1) == 1)
			pause();
		_exit(0);
	}
	CHECK(read(ready[0], &c, 1) == 1 && c == 'y');
	second = fork();
	if (second == 0)
		_exit(state_lock(folder));
	waitpid(second, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	kill_mezzd(first);
	second = fork();
	if (second == 0)
		_exit(state_lock(folder));
	waitpid(second, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(ready[0]);
	close(ready[1]);
}

TEST(files_are_whole)
{
	char path[STATE_PATH], text[8];

	state_path(path, folder, "web", "pid");
	CHECK_EQ(state_write(path, "1 2\n"), 0);
	CHECK(state_read(path, text, sizeof(text)) == 0 && strcmp(text, "1 2\n") == 0);
	CHECK(!has_file("web.pid.new"));
	CHECK_EQ(state_write(path, "12345678\n"), 0);
	CHECK_EQ(state_read(path, text, sizeof(text)), (unsigned long long)-EFBIG);
	CHECK_EQ(state_write("/nonexistent/a", ""), (unsigned long long)-ENOENT);
	CHECK(state_folder(folder) && !state_folder("/proc/nonexistent"));
	CHECK(!state_folder("/tmp")); // others may write there
	unlink(path);
}

int main(void)
{
	char path[128];
	int status;

	if (!mkdtemp(folder) || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return 1;
	snprintf(program, sizeof(program), "%s/mezz-backend", folder);
	write_file("mezz-backend", script, 0700);
	status = test_run_all();
	snprintf(path, sizeof(path), "rm -r %s", folder);
	return system(path) == 0 ? status : 1;
}

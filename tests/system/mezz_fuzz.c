// SPDX-License-Identifier: MIT
// A hostile back-end, in the root VM of the test `fuzz-backend` (fuzz_backend.py).
//
//   mezz_fuzz play BUNDLE SEED LIVES CALLS OTHER   makes the bundle's VM so many times; each is served by two processes, one after the
//                    other, of THREADS threads that do what mezz_fuzz_acts.c knows, CALLS times in all. OTHER is a VM that has a back-end.
//   mezz_fuzz held BUNDLE   what a process still holds of a VM's memory keeps the VM from being given back
//
// Every second process has the rights of a back-end that serves: one attached file, a user of its own; the others keep root's. It is killed
// in the middle, or its VM is ended under it, or it goes by itself. A line that begins with BAD is a finding.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/device.h"
#include "tests/system/mezz_fuzz.h"

#define THREADS  3u
#define USER     2000000000u // as backend/sandbox.c
#define DISK     "/dev/nvme0n1"
#define PATIENCE 60000u // ms

static struct counts *counts; // of all processes
static uint64_t seed;
static unsigned calls;

static void pause_ms(unsigned ms)
{
	usleep(ms * 1000);
}

static void finding(const char *what, uint32_t id)
{
	printf("BAD VM %u: %s\n", id, what);
	exit(1);
}

// ---------------------------------------------------------------- a process that plays a back-end

static void *think(void *arg)
{
	struct mind m = {(seed * 64 + (uintptr_t)arg + 1) * 0x9E3779B97F4A7C15ull | 1};
	unsigned sum = 0;

	for (unsigned i = 0; i < act_count; i++)
		sum += acts[i].weight;
	for (unsigned n = 0; n < calls / THREADS; n++) {
		unsigned at = (unsigned)below(&m, sum), i = 0;
		long result;

		while (at >= acts[i].weight)
			at -= acts[i++].weight;
		result = acts[i].fn(&m);
		counts->of[i][result >= 0 ? 0 : -result < ERRORS ? -result : ERRORS - 1]++;
	}
	return NULL;
}

static void listen_to_signals(void)
{
	struct sigaction a = {.sa_handler = access_failed, .sa_flags = SA_NODEFER};

	sigaction(SIGBUS, &a, NULL);
	sigaction(SIGSEGV, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
}

// What it touches and maps by mistake is bounded, and it is the first that Linux ends when memory is short.
static bool be_modest(void)
{
	struct rlimit data = {64ul << 20, 64ul << 20};
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);
	bool done = fd >= 0 && write(fd, "1000", 4) == 4;

	close(fd);
	return done && !setrlimit(RLIMIT_DATA, &data);
}

static bool open_files(void)
{
	l.events = eventfd(0, EFD_NONBLOCK);
	l.random = open("/dev/urandom", O_RDONLY);
	l.zero = open("/dev/zero", O_RDONLY);
	l.disk = open(DISK, O_RDONLY | O_DIRECT);
	l.arena = mmap(NULL, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return l.events >= 0 && l.random >= 0 && l.zero >= 0 && l.disk >= 0 &&
	       l.arena != MAP_FAILED && !pipe2(l.pipe, O_NONBLOCK) &&
	       !socketpair(AF_UNIX, SOCK_STREAM, 0, l.pair);
}

// The VM's devices are there, and it runs, or it ran before.
static bool serve(struct mind *m)
{
	long err = 0;

	l.attached = open(MEZZ_DEVICE, O_RDWR);
	l.control = open(MEZZ_DEVICE, O_RDWR);
	if (l.attached < 0 || l.control < 0 || attach_to(l.attached, l.id, l.events))
		return false;
	for (unsigned i = 0; i < DEVICES && !err; i++)
		err = add_device(l.control, l.id, FIRST_SLOT + i, m);
	device_vm_do(l.id, MEZZ_VM_START);
	return true;
}

static bool confine(void)
{
	close(l.control);
	l.control = -1;
	close(device_descriptor());
	return !setresgid(USER + l.id, USER + l.id, USER + l.id) &&
	       !setresuid(USER + l.id, USER + l.id, USER + l.id);
}

static void play(void)
{
	struct mind m = {seed * 0x9E3779B97F4A7C15ull | 1};
	pthread_t threads[THREADS];

	listen_to_signals();
	if (!be_modest() || !open_files())
		_exit(4);
	if (!serve(&m))
		_exit(5);
	if (!l.root && !confine())
		_exit(6);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, think, (void *)i))
			_exit(7);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

// ---------------------------------------------------------------- VMs

static void load(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(1);
	}
	l.bundle_size = (uint64_t)st.st_size;
	l.bundle = mmap(NULL, l.bundle_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
}

static void make_vm(void)
{
	char message[MEZZ_MESSAGE_MAX];
	int64_t id = device_create(l.bundle, l.bundle_size, message, sizeof(message));

	if (id < 0) {
		printf("BAD no VM: %s: %s\n", strerror((int)-id), message);
		exit(1);
	}
	l.id = (uint32_t)id;
}

static bool is_there(void)
{
	struct mezz_vm vm;
	bool found = true;

	return device_vm(l.id, &vm, &found) && found && vm.id == l.id;
}

static bool goes(unsigned ms)
{
	for (unsigned t = 0; t < ms; t += 10) {
		if (!is_there())
			return true;
		pause_ms(10);
	}
	return false;
}

// Nobody is the VM's back-end any more, or there is no VM: then the file can be attached, or there is nothing to attach it to.
static void becomes_free(void)
{
	int fd = open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC), events = eventfd(0, EFD_CLOEXEC);
	long err = -EBUSY;

	for (unsigned t = 0; t < PATIENCE && err == -EBUSY; t += 10) {
		err = attach_to(fd, l.id, events);
		if (err == -EBUSY)
			pause_ms(10);
	}
	if (err && err != -ENOENT)
		finding("its back-end has gone, and it cannot be attached", l.id);
	close(fd);
	close(events);
}

// ---------------------------------------------------------------- lives

enum end { GOES, KILLED, VM_ENDS, ENDS };

static const char *how(int status)
{
	static char text[32];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "status %d", WEXITSTATUS(status));
	return text;
}

// One that writes anywhere may hit itself; nobody else may end it.
static bool is_bad(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) != SIGKILL && (l.gentle || WTERMSIG(status) != SIGSEGV);
	return WEXITSTATUS(status) != 0;
}

// One process, to its end.
static void one_backend(struct mind *m, bool first)
{
	enum end end = (enum end)below(m, first ? VM_ENDS : ENDS);
	unsigned ms = (unsigned)below(m, 1500);
	pid_t child;
	int status;

	seed = draw(m);
	l.root = draw(m) >> 20 & 1;
	l.gentle = below(m, 4) != 0;
	fflush(stdout);
	child = fork();
	if (!child)
		play();
	if (end != GOES) {
		pause_ms(ms);
		if (end == KILLED)
			kill(child, SIGKILL);
		else
			device_vm_do(l.id, MEZZ_VM_STOP);
	}
	if (waitpid(child, &status, 0) != child || (first && is_bad(status)))
		printf("BAD VM %u: the back-end ended with %s\n", l.id, how(status));
	printf("VM %u: %s, %s, %s: %s\n", l.id, l.root ? "root" : "confined",
		l.gentle ? "gentle" : "wild",
		end == GOES     ? "goes"
		: end == KILLED ? "killed"
				: "its VM ends",
		how(status));
	becomes_free();
}

static void live(struct mind *m)
{
	make_vm();
	one_backend(m, true);
	one_backend(m, false);
	device_vm_do(l.id, MEZZ_VM_RESUME); // a paused one ends, too
	device_vm_do(l.id, MEZZ_VM_STOP);
	if (!goes(PATIENCE))
		finding("it does not end", l.id);
}

static void report(void)
{
	for (unsigned i = 0; i < act_count; i++) {
		printf("act %s ok %u", acts[i].name, counts->of[i][0]);
		for (int e = 1; e < (int)ERRORS; e++)
			if (counts->of[i][e])
				printf(" %s %u", strerrorname_np(e) ? strerrorname_np(e) : "?",
					counts->of[i][e]);
		putchar('\n');
	}
}

static int play_all(char **argv)
{
	unsigned lives = (unsigned)atoi(argv[4]);
	struct mind m = {(strtoull(argv[3], NULL, 10) + 1) * 0x9E3779B97F4A7C15ull | 1};
	struct mezz_vm other;

	calls = (unsigned)atoi(argv[5]) / (2 * lives);
	if (!device_find(argv[6], &other))
		return 1;
	l.other = other.id;
	counts = mmap(
		NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("seed %s\n", argv[3]);
	for (unsigned i = 0; i < lives; i++)
		live(&m);
	report();
	puts("played");
	return 0;
}

// ---------------------------------------------------------------- held memory

static bool is_free(void)
{
	int fd = open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC), events = eventfd(0, EFD_CLOEXEC);
	long err = attach_to(fd, l.id, events);

	close(fd);
	close(events);
	return err != -EBUSY;
}

// A page of the VM goes into the pipe; then nothing of the back-end is left but that.
static bool hold(int to, uint64_t place)
{
	int fd = open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC), events = eventfd(0, EFD_CLOEXEC);
	struct iovec v = {.iov_len = PAGE};

	if (attach_to(fd, l.id, events))
		return false;
	v.iov_base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)place);
	if (v.iov_base == MAP_FAILED)
		return false;
	((volatile char *)v.iov_base)[PAGE - 1] = 'h'; // where no bell is
	if (vmsplice(to, &v, 1, 0) != (long)PAGE)
		return false;
	munmap(v.iov_base, PAGE);
	close(events);
	return !close(fd);
}

static void held(uint64_t place)
{
	char page[PAGE];
	int ends[2];

	make_vm();
	if (pipe(ends) || !hold(ends[1], place))
		finding("its memory cannot be held", l.id);
	pause_ms(300);
	if (is_free())
		finding("another back-end is let in while the first one holds its memory", l.id);
	device_vm_do(l.id, MEZZ_VM_STOP);
	if (goes(1000))
		finding("its memory is given back while somebody holds it", l.id);
	if (read(ends[0], page, PAGE) != (long)PAGE || page[PAGE - 1] != 'h')
		finding("the page in the pipe is another one", l.id);
	close(ends[0]);
	close(ends[1]);
	if (!goes(PATIENCE))
		finding("it does not end when nobody holds it any more", l.id);
}

// Of its memory, and of the state that its back-ends share.
static int held_both(void)
{
	held(GENTLE);
	held(MEZZ_MAP_STATE);
	puts("held ok");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || !device_open())
		return 1;
	load(argv[2]);
	if (!strcmp(argv[1], "held"))
		return held_both();
	return argc == 7 && !strcmp(argv[1], "play") ? play_all(argv) : 2;
}

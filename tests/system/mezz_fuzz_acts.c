// SPDX-License-Identifier: MIT
// What a hostile back-end does: each act is one call, or a few that belong together, with arguments that are right, nearly right or wild.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/mezz_fuzz.h"

struct life l;

long told(long result)
{
	return result < 0 ? -errno : result;
}

// ---------------------------------------------------------------- numbers

uint64_t odd(struct mind *m)
{
	switch (below(m, 6)) {
	case 0:
		return below(m, 8);
	case 1:
		return ~0ull - below(m, 8);
	case 2:
		return (1ull << below(m, 64)) - below(m, 2);
	case 3:
		return MEZZ_DEVICE_OF(below(m, 40), below(m, 40));
	default:
		return draw(m) >> below(m, 64);
	}
}

static uint32_t a_vm(struct mind *m)
{
	switch (below(m, 8)) {
	case 0:
		return l.other;
	case 1:
		return 1; // the root VM
	case 2:
		return (uint32_t)odd(m);
	default:
		return l.id;
	}
}

static uint64_t a_device(struct mind *m)
{
	if (below(m, 8) == 0)
		return odd(m);
	return MEZZ_DEVICE_OF(a_vm(m), FIRST_SLOT + below(m, below(m, 8) ? DEVICES : 40));
}

uint8_t *in_arena(struct mind *m)
{
	uint64_t at = below(m, 4) ? below(m, LARGEST) : below(m, ARENA - LARGEST);

	return l.arena + at / PAGE * PAGE;
}

uint64_t a_length(struct mind *m)
{
	static const uint64_t most[] = {1, 2, 16, 512, 1024, 16384};

	return (1 + below(m, most[below(m, 6)])) * PAGE;
}

// A page of the thread's stack, or what is hardly a buffer.
static void *a_buffer(struct mind *m, void *good)
{
	switch (below(m, 12)) {
	case 0:
		return in_arena(m) + below(m, PAGE);
	case 1:
		return (void *)(uintptr_t)odd(m);
	case 2:
		return (void *)(uintptr_t)(draw(m) | 1ull << 63); // the kernel's half
	case 3:
		return (void *)(uintptr_t)a_buffer; // read-only
	default:
		return good;
	}
}

static uint64_t a_size(struct mind *m, uint64_t good)
{
	return below(m, 6) ? good : below(m, 3) ? below(m, PAGE + 8) : odd(m);
}

// ---------------------------------------------------------------- calls

long kernel_call(int fd, uint64_t nr, uint64_t a0, uint64_t a1, void *buffer, uint64_t size)
{
	struct mezz_ioctl c = {nr, {a0, a1}, (uintptr_t)buffer, size};

	return told(ioctl(fd, MEZZ_IOCTL, &c));
}

long attach_to(int fd, uint64_t vm, int events)
{
	struct mezz_attach a = {.vm = vm, .events = events};

	return told(ioctl(fd, MEZZ_ATTACH, &a));
}

// The file that the call goes through: mostly as it should be.
static int a_file(struct mind *m)
{
	if (l.control >= 0 && below(m, 2))
		return l.control;
	return below(m, 64) ? l.attached : (int)below(m, 16);
}

static long act_state(struct mind *m)
{
	uint8_t page[PAGE] = {0};

	return kernel_call(a_file(m), MEZZ_CALL_DEVICE_STATE, a_device(m), 0, a_buffer(m, page),
		a_size(m, sizeof(struct mezz_device_state)));
}

static long act_interrupt(struct mind *m)
{
	uint64_t queues = below(m, 4) ? 1ull << below(m, 6) : odd(m) | MEZZ_BELL_STATE;

	return kernel_call(a_file(m), MEZZ_CALL_DEVICE_INTERRUPT, a_device(m), queues, NULL, 0);
}

static long act_reset_done(struct mind *m)
{
	return kernel_call(
		a_file(m), MEZZ_CALL_DEVICE_DO, a_device(m), MEZZ_DEVICE_RESET_DONE, NULL, 0);
}

static long act_broken(struct mind *m)
{
	return kernel_call(a_file(m), MEZZ_CALL_DEVICE_DO, a_device(m),
		below(m, 2) ? MEZZ_DEVICE_BROKEN : odd(m), NULL, 0);
}

static long act_config(struct mind *m)
{
	uint8_t page[PAGE];

	memset(page, (int)draw(m), sizeof(page));
	return kernel_call(a_file(m), MEZZ_CALL_DEVICE_CONFIG, a_device(m), 0, a_buffer(m, page),
		a_size(m, CONFIG));
}

static struct mezz_device a_description(struct mind *m, unsigned slot)
{
	static const uint16_t types[] = {1, 2, 4};

	return (struct mezz_device){.slot = (uint16_t)slot,
		.type = types[below(m, 3)],
		.queues = (uint16_t)(4 + below(m, 29)),
		.queue_size = 256,
		.features = draw(m),
		.pci_class = 0x018000,
		.config_size = CONFIG};
}

long add_device(int fd, uint32_t id, unsigned slot, struct mind *m)
{
	struct mezz_device d = a_description(m, slot);

	return kernel_call(fd, MEZZ_CALL_DEVICE_ADD, id, 0, &d, sizeof(d));
}

static long act_add(struct mind *m)
{
	struct mezz_device d = a_description(m, (unsigned)below(m, 40));
	uint16_t *field = (uint16_t *)&d + below(m, 12);

	if (below(m, 2))
		*field = (uint16_t)odd(m);
	return kernel_call(
		a_file(m), MEZZ_CALL_DEVICE_ADD, a_vm(m), 0, a_buffer(m, &d), a_size(m, sizeof(d)));
}

// What ends something by design is no finding, so these are left out, and they need root's rights anyway: orders to other VMs (the
// manager's call), and to this one those that end it, which the parent process gives; what is typed for another VM is its user's
// word; a VM made (MEZZ_CREATE) is what create.c tests.
static bool ends_things(uint64_t nr, uint64_t a0, uint64_t a1)
{
	if (nr == MEZZ_CALL_VM_DO)
		return a0 != l.id || a1 == MEZZ_VM_STOP || a1 == MEZZ_VM_SHUTDOWN;
	return nr == MEZZ_CALL_CONSOLE_WRITE && a0 != l.id;
}

static long act_any_call(struct mind *m)
{
	uint64_t nr = (below(m, 8) ? MEZZ_CALL_HOST : MEZZ_CALL_EVENTS) + below(m, 16) - 1;
	uint64_t a0 = below(m, 2) ? a_device(m) : a_vm(m), a1 = odd(m);
	uint8_t page[PAGE] = {0};

	if (below(m, 16) == 0)
		nr = odd(m);
	if (ends_things(nr, a0, a1))
		nr = MEZZ_CALL_DEVICE_STATE;
	return kernel_call(a_file(m), nr, a0, a1, a_buffer(m, page), a_size(m, below(m, PAGE + 1)));
}

// What is told about VMs, this one's lines and files, the log, consoles.
static long act_look(struct mind *m)
{
	static const uint64_t calls[] = {MEZZ_CALL_HOST, MEZZ_CALL_VM, MEZZ_CALL_LOG,
		MEZZ_CALL_VM_LINE, MEZZ_CALL_VM_FILE, MEZZ_CALL_CONSOLE_READ};
	uint8_t page[PAGE] = {0};

	return kernel_call(a_file(m), calls[below(m, 6)], a_vm(m) | below(m, 8) / 7 * odd(m) << 32,
		below(m, 2) ? 0 : odd(m), a_buffer(m, page), a_size(m, PAGE));
}

// It goes on sooner than it is paused.
static long act_order(struct mind *m)
{
	static const uint64_t orders[] = {
		MEZZ_VM_RESUME, MEZZ_VM_RESUME, MEZZ_VM_PAUSE, MEZZ_VM_START, 99};

	return kernel_call(a_file(m), MEZZ_CALL_VM_DO, l.id, orders[below(m, 5)], NULL, 0);
}

static long act_create(struct mind *m)
{
	char message[MEZZ_MESSAGE_MAX];
	struct mezz_create c = {
		(uintptr_t)l.bundle, l.bundle_size, (uintptr_t)message, sizeof(message)};

	switch (below(m, 4)) {
	case 0: // there is a VM of this name
		break;
	case 1:
		c.size = a_size(m, below(m, l.bundle_size));
		break;
	case 2:
		c.bundle = (uintptr_t)in_arena(m);
		c.size = below(m, 8 * PAGE);
		break;
	default:
		c = (struct mezz_create){odd(m), odd(m), odd(m), odd(m)};
	}
	return told(ioctl(a_file(m), MEZZ_CREATE, &c));
}

static long act_attach(struct mind *m)
{
	return attach_to(a_file(m), below(m, 8) ? l.other : odd(m) + MEZZ_MAX_VMS,
		below(m, 2) ? l.events : (int)below(m, 16));
}

static long act_open(struct mind *m)
{
	int fd = open(MEZZ_DEVICE, O_RDWR | O_CLOEXEC);
	long result = fd < 0 ? -errno : attach_to(fd, below(m, 2) ? l.id : l.other, l.events);

	if (fd >= 0)
		close(fd);
	return result;
}

static long act_any_ioctl(struct mind *m)
{
	static const unsigned commands[] = {MEZZ_IOCTL, MEZZ_ATTACH, MEZZ_CREATE};
	unsigned command = below(m, 2) ? commands[below(m, 3)] : (unsigned)draw(m);
	void *at = below(m, 2) ? in_arena(m) : (void *)(uintptr_t)(draw(m) | 1ull << 63);

	return told(ioctl(l.attached, command, at));
}

// ---------------------------------------------------------------- the file

static long act_dup(struct mind *m)
{
	int fd = dup(l.attached);
	long result = fd < 0 ? -errno
			     : kernel_call(fd, MEZZ_CALL_DEVICE_INTERRUPT, a_device(m), 1, NULL, 0);

	if (fd >= 0)
		close(fd);
	return result;
}

union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

static long send_file(int fd)
{
	uint8_t byte = 0;
	struct iovec v = {&byte, 1};
	union control c = {.header = {CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr h = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	memcpy(CMSG_DATA(&c.header), &fd, sizeof(fd));
	return told(sendmsg(l.pair[0], &h, MSG_DONTWAIT));
}

static int receive_file(void)
{
	uint8_t byte;
	struct iovec v = {&byte, 1};
	union control c;
	struct msghdr h = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	if (recvmsg(l.pair[1], &h, MSG_DONTWAIT) < 0)
		return -errno;
	if (CMSG_FIRSTHDR(&h))
		memcpy(&fd, CMSG_DATA(&c.header), sizeof(fd));
	return fd;
}

// Files on their way hold the VM, too; those of a life that ends are never taken.
static long act_pass(struct mind *m)
{
	long result = send_file(l.attached);
	int fd;

	if (result < 0 || below(m, 4) == 0)
		return result;
	fd = receive_file();
	if (fd < 0)
		return fd;
	result = kernel_call(fd, MEZZ_CALL_DEVICE_INTERRUPT, a_device(m), 1, NULL, 0);
	close(fd);
	return result;
}

static long act_fork(struct mind *m)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (!child) {
		for (unsigned i = 0; i < 8; i++) {
			act_map(m);
			act_touch(m);
			act_interrupt(m);
		}
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? 0 : -ESRCH;
}

static long act_eventfd(struct mind *m)
{
	uint64_t n = below(m, 2) ? 1 : ~0ull - 1;

	return below(m, 2) ? told(read(l.events, &n, sizeof(n)))
			   : told(write(l.events, &n, sizeof(n)));
}

// The number of the eventfd is another file's; the module has the first one.
static long act_replace_events(struct mind *m)
{
	int other = below(m, 2) ? eventfd(0, EFD_NONBLOCK) : dup(l.zero);
	long result = other < 0 ? -errno : told(dup2(other, l.events));

	if (other >= 0)
		close(other);
	return result;
}

static long act_wait(struct mind *m)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	int fd = epoll_create1(EPOLL_CLOEXEC);
	long result = fd < 0 ? -errno
			     : told(epoll_ctl(
				       fd, EPOLL_CTL_ADD, below(m, 2) ? l.events : l.attached, &e));

	if (result >= 0)
		result = told(epoll_wait(fd, &e, 1, 1));
	if (fd >= 0)
		close(fd);
	return result;
}

// Reading, writing and seeking are not for such files.
static long act_file(struct mind *m)
{
	switch (below(m, 4)) {
	case 0:
		return told(read(l.attached, in_arena(m), 8));
	case 1:
		return told(ftruncate(l.attached, (off_t)odd(m)));
	case 2:
		return told(fsync(l.attached));
	default:
		return told(lseek(l.attached, (off_t)odd(m), SEEK_SET));
	}
}

const struct act acts[] = {
	{"state", act_state, 8},
	{"interrupt", act_interrupt, 12},
	{"reset-done", act_reset_done, 10},
	{"broken", act_broken, 3},
	{"config", act_config, 6},
	{"add", act_add, 3},
	{"any-call", act_any_call, 12},
	{"look", act_look, 6},
	{"order", act_order, 3},
	{"create", act_create, 2},
	{"attach", act_attach, 3},
	{"open", act_open, 3},
	{"any-ioctl", act_any_ioctl, 3},
	{"map", act_map, 14},
	{"map-state", act_map_state, 3},
	{"map-huge", act_map_huge, 2},
	{"unmap", act_unmap, 5},
	{"move", act_move, 4},
	{"protect", act_protect, 3},
	{"advise", act_advise, 4},
	{"remap", act_remap, 3},
	{"lock", act_lock, 2},
	{"touch", act_touch, 30},
	{"scribble", act_scribble, 2},
	{"read-into", act_read_into, 3},
	{"disk-into", act_disk_into, 3},
	{"copy", act_copy, 3},
	{"splice", act_splice, 3},
	{"drain", act_drain, 2},
	{"dup", act_dup, 2},
	{"pass", act_pass, 3},
	{"fork", act_fork, 1},
	{"eventfd", act_eventfd, 3},
	{"replace-events", act_replace_events, 1},
	{"wait", act_wait, 1},
	{"file", act_file, 2},
};
const unsigned act_count = sizeof(acts) / sizeof(acts[0]);
_Static_assert(sizeof(acts) / sizeof(acts[0]) <= ACTS_MAX, "room for each");

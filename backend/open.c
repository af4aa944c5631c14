// SPDX-License-Identifier: MIT
// How a back-end comes to serve its VM. Attaching comes first, as nobody else is the VM's back-end from then on, and the one
// before moves nothing any more.
#include "backend/backend.h"
#include "backend/loop.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/disk.h"
#include "backend/say.h"
#include "backend/uplink.h"
#include "common/tap.h"
#include "net/tap.h"

#define ATTACH_PATIENCE 60000u // ms that an earlier back-end's requests may take
#define FILE_PATIENCE   2000u  // ms until its files are closed
#define PAUSE           2u     // ms between two tries

static void pause_ms(unsigned ms)
{
	usleep(ms * 1000);
}

// ---------------------------------------------------------------- the VM

static bool find(struct backend *b)
{
	int err = link_find(b->link, b->name, &b->vm);

	if (err == -ENOENT)
		return say("%s: no such VM runs; `mezz vm list` shows those that do", b->name);
	if (err)
		return say("%s: the kernel of Mezzanine refused: %s", b->name, strerror(-err));
	return !b->vm.is_root || say("%s: it is the root VM, which has its own devices", b->name);
}

static bool attach(struct backend *b, bool *ended)
{
	int err = -EBUSY;

	b->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->events < 0)
		return say("no eventfd: %s", strerror(errno));
	for (unsigned ms = 0; ms < ATTACH_PATIENCE; ms += PAUSE) {
		err = link_attach(b->link, b->events);
		if (err != -EBUSY)
			break;
		if (ms == 1000)
			say("%s: has a back-end, or one whose requests have not ended; waiting",
				b->name);
		pause_ms(PAUSE);
	}
	if (err == -EBUSY)
		return say("%s: another back-end serves it", b->name);
	if (!err)
		err = link_look(b->link, &b->vm); // it may have been started meanwhile
	*ended = err == -ENOENT;
	if (*ended)
		return say("%s: has ended", b->name);
	return !err || say("%s: cannot be attached: %s", b->name, strerror(-err));
}

// The VM's layout (kernel/vm/vm.h, docs/memory-map.md).
static void lay_out(struct backend *b)
{
	u64 low = MIN(b->vm.memory, 0xb0000000ull), high = b->vm.memory - low;

	b->host.ram[0].end = MIN(low, 0xa0000ull);
	b->host.ram[1].start = 0xc0000;
	b->host.ram[1].end = MAX(low, 0xc0000ull);
	b->host.ram[2].start = 4 * GiB;
	b->host.ram[2].end = 4 * GiB + high;
	b->memory_size = high ? 4 * GiB + high : b->host.ram[1].end;
}

static bool map(struct backend *b)
{
	lay_out(b);
	b->memory = link_map_memory(b->link, b->memory_size);
	b->bells = b->memory ? link_map_state(b->link) : NULL;
	if (!b->bells)
		return say("%s: its memory cannot be mapped: %s", b->name, strerror(errno));
	b->host.memory = b->memory;
	b->state = (void *)((u8 *)b->bells + PAGE_SIZE);
	if (b->state->version && b->state->version != STATE_VERSION)
		return say("%s: its last back-end left a state of version %u, expected %u", b->name,
			b->state->version, STATE_VERSION);
	b->state->version = STATE_VERSION;
	return true;
}

static bool read_plan(struct backend *b)
{
	const char *why = NULL;
	char text[512];
	int n = 0;

	plan_init(&b->plan, b->vm.vcpus);
	for (unsigned i = 0; i < BUNDLE_MAX_IO && !why; i++) {
		n = link_line(b->link, i, text, sizeof(text));
		if (n < 0)
			break;
		why = plan_add(&b->plan, i, text);
	}
	if (n < 0 && n != -ENOENT)
		return say("%s: its definition cannot be read: %s", b->name, strerror(-n));
	return !why || say("%s: %s", b->name, why);
}

static int open_device(const char *what, const char *name, bool write)
{
	bool busy = true;
	int fd = -1;

	for (unsigned ms = 0; fd < 0 && busy && ms < FILE_PATIENCE; ms += PAUSE) {
		if (ms)
			pause_ms(PAUSE);
		fd = disk_open_device(what, name, write, &busy);
	}
	if (busy)
		say("%s: %s is mounted, or another program or VM uses it; a disk that a VM writes is its alone",
			what, name);
	return fd;
}

// ---------------------------------------------------------------- firmware

static void vars_saved(void *arg)
{
	struct backend *b = arg;

	link_do(b->link, 0, MEZZ_DEVICE_SAVED);
}

static bool keep_vars(struct backend *b)
{
	int fd = b->plan.vars[0] ? open_device("firmware_vars", b->plan.vars, true) : -1;
	const char *why;

	if (fd < 0)
		return !b->plan.vars[0];
	b->keeper = keeper_create(&b->host, b->firmware, &b->bells->vars, fd,
		b->vm.state == MEZZ_VM_WAITING, vars_saved, b, &why);
	if (b->keeper)
		return true;
	close(fd);
	return say("%s: %s", b->name, why);
}

static bool make_firmware(struct backend *b)
{
	const char *why = NULL;

	if (!b->vm.firmware)
		return !b->plan.vars[0] ||
		       say("%s: its firmware has no variables that a device could keep", b->name);
	b->firmware = link_map_firmware(b->link);
	if (!b->firmware)
		return say("%s: its firmware cannot be mapped: %s", b->name, strerror(errno));
	if (b->vm.state == MEZZ_VM_WAITING)
		why = firmware_tell(b->firmware, &b->vm, b->memory, b->host.ram[1].end,
			b->host.ram[2].end - b->host.ram[2].start);
	return why ? say("%s: %s", b->name, why) : keep_vars(b);
}

// ---------------------------------------------------------------- devices

static bool add_disk(struct backend *b, unsigned n)
{
	const struct disk_line *d = &b->plan.disk[n].what;
	bool waiting = b->vm.state == MEZZ_VM_WAITING;
	struct host_block *store;
	const char *why;
	char id[24], what[24];
	int fd;

	snprintf(what, sizeof(what), "disk %u", n);
	fd = d->device ? open_device(what, d->name, d->mode == BUNDLE_DISK_RW)
		       : disk_open_image(
				 b->link, b->run, b->name, n, b->plan.disk[n].line, d, waiting);
	if (fd < 0)
		return false;
	snprintf(id, sizeof(id), "disk%u", n);
	store = host_block_create(
		&b->host, b->ring, fd, d->mode != BUNDLE_DISK_RO, d->device ? d->name : id, &why);
	if (!store) {
		close(fd);
		return say("disk %u: %s: %s", n, d->name, why);
	}
	if (d->mode == BUNDLE_DISK_SNAPSHOT)
		b->snapshot[n] = fd;
	b->device[PLAN_DISK_SLOT + n] = device_disk(b->link, &b->host, PLAN_DISK_SLOT + n, store,
		b->plan.disk_queues, b->state->log[n]);
	return b->device[PLAN_DISK_SLOT + n] || say("out of memory");
}

static int open_tap(const struct backend *b, unsigned n)
{
	char name[NET_TAP_NAME];
	int fd = -EBUSY;

	net_tap_name(name, b->vm.id, n);
	if (!if_nametoindex(name)) { // to open it would make one that leads nowhere
		say("nic %u: there is no tap %s, which mezzd makes", n, name);
		return -1;
	}
	for (unsigned ms = 0; fd == -EBUSY && ms < FILE_PATIENCE; ms += PAUSE) {
		if (ms)
			pause_ms(PAUSE);
		fd = tap_open(name);
	}
	if (fd == -EBUSY)
		say("nic %u: another process uses tap %s", n, name);
	else if (fd < 0)
		say("nic %u: tap %s: %s", n, name, strerror(-fd));
	return fd;
}

static bool add_card(struct backend *b, unsigned n)
{
	unsigned slot = PLAN_CARD_SLOT + n;
	int fd = open_tap(b, n);
	struct host_net *net;
	const char *why;

	if (fd < 0)
		return false;
	net = host_net_create(&b->host, fd, &b->plan.card[n], &why);
	if (!net) {
		close(fd);
		return say("nic %u: %s", n, why);
	}
	host_net_set_rest(net, &b->bells->rest, BIT(slot));
	b->device[slot] = device_card(b->link, &b->host, slot, net, &b->plan.card[n],
		b->plan.card_pairs, b->state->log[STATE_DISKS + n], &b->state->kept[n]);
	return b->device[slot] || say("out of memory");
}

// The kernel has the configuration that a driver reads, also one that comes later.
void backend_link_changed(void *arg, const char *uplink, bool link)
{
	struct backend *b = arg;

	for (unsigned n = 0; n < b->plan.cards; n++) {
		struct device *d = b->device[PLAN_CARD_SLOT + n];

		if (!b->plan.card[n].follow || strcmp(b->plan.card[n].uplink, uplink) != 0)
			continue;
		d->configured |= d->card->link != link;
		virtio_net_set_link(d->card, link);
	}
}

// Cards that follow an uplink have no link until it is known to have one. What the one before has told the driver, nobody knows.
static bool follow_uplinks(struct backend *b)
{
	bool any = false;

	for (unsigned n = 0; n < b->plan.cards; n++) {
		struct device *d = b->device[PLAN_CARD_SLOT + n];

		if (!b->plan.card[n].follow)
			continue;
		any = true;
		virtio_net_set_link(d->card, false);
		d->configured = b->vm.state != MEZZ_VM_WAITING;
	}
	if (any)
		b->uplinks = uplinks_open(backend_link_changed, b);
	return !any || b->uplinks >= 0 || say("no netlink socket: %s", strerror(errno));
}

static bool make_devices(struct backend *b)
{
	for (unsigned n = 0; n < b->plan.disks; n++)
		if (!add_disk(b, n))
			return false;
	for (unsigned n = 0; n < b->plan.cards; n++)
		if (!add_card(b, n))
			return false;
	b->device[PLAN_RNG_SLOT] = device_rng(b->link, &b->host, PLAN_RNG_SLOT, &b->state->rng);
	if (!b->device[PLAN_RNG_SLOT])
		return say("out of memory");
	return follow_uplinks(b);
}

// One that is there was added by a back-end that was killed before it started the VM.
static bool announce(struct backend *b)
{
	struct mezz_device_state s;
	struct mezz_device m;

	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++) {
		int err;

		if (!b->device[slot])
			continue;
		device_describe(b->device[slot], &m);
		err = link_add(b->link, &m);
		if (err == -EBUSY && link_state(b->link, slot, &s) >= 0)
			err = link_config(b->link, slot, m.config, m.config_size);
		if (err < 0)
			return say("%s: slot %u cannot have its device: %s", b->name, slot,
				strerror(-err));
	}
	return true;
}

static bool begin(struct backend *b)
{
	int err = 0;

	for (unsigned slot = 0; slot < MEZZ_SLOTS && err >= 0; slot++)
		if (b->device[slot])
			err = device_begin(b->device[slot]);
	loop_vm_bells(b);
	if (err >= 0 && b->vm.state == MEZZ_VM_WAITING)
		err = link_start(b->link);
	return err >= 0 || say("%s: cannot be served: %s", b->name, strerror(-err));
}

static bool open_ring(struct backend *b)
{
	b->ring = host_ring_create();
	if (!b->ring)
		return say("no io_uring: %s", strerror(errno));
	return !host_ring_hold(b->ring, link_fd(b->link)) || say("io_uring takes no file");
}

bool backend_open(struct backend *b, const char *name, const char *run, bool *ended)
{
	const char *why;

	*b = (struct backend){.name = name, .run = run, .events = -1, .uplinks = -1, .epoll = -1};
	memset(b->snapshot, -1, sizeof(b->snapshot));
	*ended = false;
	host_linux_init(&b->host, name);
	b->link = link_open(&why);
	if (!b->link)
		return say("%s", why);
	if (!find(b) || !read_plan(b) || !attach(b, ended) || !map(b) || !open_ring(b) ||
		!make_devices(b) || !make_firmware(b))
		return false;
	if (b->vm.state == MEZZ_VM_WAITING && !announce(b))
		return false;
	return loop_prepare(b) && begin(b);
}

void backend_close(struct backend *b)
{
	for (unsigned slot = 0; slot < MEZZ_SLOTS; slot++)
		if (b->device[slot])
			device_destroy(b->device[slot]);
	if (b->keeper)
		keeper_destroy(b->keeper);
	if (b->firmware)
		munmap(b->firmware, MEZZ_FIRMWARE_SIZE);
	loop_destroy(b);
	if (b->ring)
		host_ring_destroy(b->ring);
	if (b->bells)
		munmap(b->bells, MEZZ_STATE_SIZE);
	if (b->memory)
		munmap(b->memory, b->memory_size);
	if (b->link)
		link_close(b->link);
	if (b->events >= 0)
		close(b->events);
	if (b->uplinks >= 0)
		close(b->uplinks);
}

// SPDX-License-Identifier: MIT
// The back-end of a VM against a kernel that is played: what it makes of a definition, requests, resets, broken rings, the end;
// and being killed at any moment while a guest works (40 times, or MEZZ_KILLS).
// link: backend/open.c backend/loop.c backend/device.c backend/plan.c backend/disk.c backend/image.c common/tap.c backend/uplink.c backend/say.c
// link: devices/host_linux/host_linux.c devices/host_linux/host_linux_timer.c devices/host_linux/host_linux_ring.c
// link: devices/host_linux/host_linux_block.c devices/host_linux/host_linux_file.c devices/host_linux/host_linux_net.c devices/host_linux/host_linux_filter.c
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c devices/virtio_rng.c devices/virtio.c devices/virtqueue.c
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c net/switch.c net/stations.c net/vlan.c
// link: net/bucket.c net/config.c kernel/core/disk_line.c storage/gpt.c storage/crc32.c lib/format.c -luring
// link: backend/firmware.c backend/keeper.c devices/fw_tell.c devices/fw_cfg_acpi.c devices/fw_cfg_list.c lib/firmware.c storage/twin.c storage/twin_restore.c
#include "tests/unit/link_driver.h"
#include "backend/backend.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SLOT    PLAN_DISK_SLOT
#define SECTORS (FAKE_IMAGE / 512)

static char run[] = "/tmp/mezz-run-XXXXXX";

static u8 pattern(u64 at)
{
	return (u8)(at / 512 * 3 + at);
}

static void set_up(const char *line0, const char *line1)
{
	strcpy(run, "/tmp/mezz-run-XXXXXX");
	if (!mkdtemp(run))
		abort();
	fake_create("web");
	for (u64 i = 0; i < FAKE_IMAGE; i++)
		fake_image[i] = pattern(i);
	memset(fake_image + MiB, 0, MiB);
	strcpy(fake->line[0], line0);
	strcpy(fake->line[1], line1);
}

static void image_path(char *path, unsigned n)
{
	sprintf(path, "%s/web-disk%u.img", run, n);
}

static void tear_down(void)
{
	char path[64];

	for (unsigned n = 0; n < 2; n++) {
		image_path(path, n);
		unlink(path);
	}
	CHECK(!rmdir(run)); // nothing else was left there
	fake_destroy();
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

static struct backend *open_backend(void)
{
	struct backend *b = calloc(1, sizeof(*b));
	bool ended;

	if (backend_open(b, "web", run, &ended)) {
		link_confine(b->link);
		return b;
	}
	backend_close(b);
	free(b);
	return NULL;
}

static void close_backend(struct backend *b)
{
	backend_close(b);
	free(b);
}

// Turns of the loop until the driver gets something back, which it may see only after an interrupt.
static unsigned serve_one(struct backend *b, struct driver *d)
{
	for (u64 end = now_ms() + 5000; now_ms() < end;) {
		backend_turn(b, 1000000);
		if (driver_interrupted(d))
			return driver_take(d);
	}
	CHECK(!"an interrupt came");
	return DRIVER_MAX;
}

static u8 do_one(struct backend *b, struct driver *d, u32 type, u64 sector, u32 len)
{
	unsigned n = driver_free(d);

	driver_send(d, n, type, sector, len);
	CHECK_EQ(serve_one(b, d), n);
	CHECK_EQ(driver_take(d), DRIVER_MAX);
	return *driver_status(n);
}

// ---------------------------------------------------------------- life

TEST(devices)
{
	set_up("disk img snapshot", "balloon off");
	strcpy(fake->line[2], "disk img2 ro");
	{
		struct backend *b = open_backend();
		const struct mezz_device *m = &fake->device[SLOT];
		struct virtio_blk_config c;

		CHECK(b && fake->there[SLOT] && fake->there[SLOT + 1] && !fake->there[SLOT + 2]);
		CHECK_EQ(fake->starts, 1);
		CHECK_EQ(m->type, VIRTIO_TYPE_BLOCK);
		CHECK_EQ(m->queues, 2);
		CHECK_EQ(m->queue_size, 256);
		CHECK_EQ(m->pci_class, 0x010000);
		CHECK(m->features & VIRTIO_BLK_F_FLUSH && !(m->features & VIRTIO_F_VERSION_1));
		CHECK(fake->device[SLOT + 1].features & VIRTIO_BLK_F_RO);
		memcpy(&c, m->config, m->config_size);
		CHECK_EQ(c.capacity, SECTORS);
		CHECK_EQ(c.num_queues, 2);
		close_backend(b);
	}
	tear_down();
}

TEST(requests)
{
	struct driver d;
	struct backend *b;

	set_up("disk img snapshot", "");
	b = open_backend();
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 100, 4096), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < 4096; i++)
		if (driver_data(0)[i] != pattern(100 * 512 + i)) {
			CHECK(!"what was read is what the image holds");
			break;
		}
	memset(driver_data(0), 0x5a, 512);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_OUT, 2 * MiB / 512, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 2 * MiB / 512 - 1, 1024), VIRTIO_BLK_S_OK);
	CHECK(driver_data(0)[511] == pattern(2 * MiB - 1 - MiB) || driver_data(0)[511] == 0);
	CHECK(driver_data(0)[512] == 0x5a && driver_data(0)[1023] == 0x5a);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, SECTORS, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(fake->brokens[SLOT], 0);
	close_backend(b);
	tear_down();
}

// With nothing to do it sleeps.
TEST(idle)
{
	struct driver d;
	struct backend *b;
	unsigned turns = 0;

	set_up("disk img rw", "");
	b = open_backend();
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	for (u64 end = now_ms() + 200; now_ms() < end; turns++)
		backend_turn(b, 100000000);
	CHECK(turns < 10);
	close_backend(b);
	tear_down();
}

TEST(reset)
{
	struct driver d;
	struct backend *b;

	set_up("disk img rw", "");
	b = open_backend();
	driver_start(&d, SLOT);
	for (unsigned i = 0; i < 10; i++)
		driver_send(&d, i, VIRTIO_BLK_T_OUT, 8 * i, 4096);
	backend_turn(b, 0);
	driver_reset(&d);
	for (u64 end = now_ms() + 5000; !fake->dones[SLOT] && now_ms() < end;)
		backend_turn(b, 1000000);
	CHECK_EQ(fake->dones[SLOT], 1);
	CHECK(virtio_blk_quiet(b->device[SLOT]->disk));
	CHECK(!b->device[SLOT]->store->dirty); // flushed
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(fake->dones[SLOT], 1);
	close_backend(b);
	tear_down();
}

// The driver takes away the device's right to reach memory, and gives it back.
TEST(no_dma)
{
	struct driver d;
	struct backend *b;

	set_up("disk img rw", "");
	b = open_backend();
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	fake->state[SLOT].running = 0;
	fake_ring(SLOT, MEZZ_BELL_STATE);
	driver_send(&d, 0, VIRTIO_BLK_T_IN, 0, 512);
	for (unsigned i = 0; i < 10; i++)
		backend_turn(b, 1000000);
	CHECK(!driver_interrupted(&d));
	CHECK_EQ(*driver_status(0), 0xee);
	fake->state[SLOT].running = 1;
	fake_ring(SLOT, MEZZ_BELL_STATE);
	CHECK_EQ(serve_one(b, &d), 0);
	close_backend(b);
	tear_down();
}

TEST(broken)
{
	struct driver d;
	struct backend *b;

	set_up("disk img rw", "");
	b = open_backend();
	driver_start(&d, SLOT);
	driver_avail()[1] = 1000; // jumped
	fake_ring(SLOT, 1);
	for (unsigned i = 0; i < 10; i++)
		backend_turn(b, 1000000);
	CHECK_EQ(fake->brokens[SLOT], 1);
	driver_reset(&d);
	for (unsigned i = 0; i < 100 && !fake->dones[SLOT]; i++)
		backend_turn(b, 1000000);
	CHECK_EQ(fake->dones[SLOT], 1);
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	fake->state[SLOT].accepted |= VIRTIO_BLK_F_RO; // was not offered
	driver_reset(&d);
	for (unsigned i = 0; i < 100 && fake->dones[SLOT] < 2; i++)
		backend_turn(b, 1000000);
	driver_start(&d, SLOT);
	fake->state[SLOT].accepted |= VIRTIO_BLK_F_RO;
	for (unsigned i = 0; i < 10; i++)
		backend_turn(b, 1000000);
	CHECK_EQ(fake->brokens[SLOT], 2);
	close_backend(b);
	tear_down();
}

static off_t image_size(unsigned n)
{
	char path[64];
	struct stat st;

	image_path(path, n);
	return stat(path, &st) ? -1 : st.st_size;
}

// The end of the VM; what of its disks stays, and what the next VM of that name finds.
TEST(end)
{
	struct driver d;
	struct backend *b;
	char path[64];
	u8 byte = 0;
	int fd;

	set_up("disk img rw", "disk img2 snapshot");
	b = open_backend();
	driver_start(&d, SLOT);
	memset(driver_data(0), 0x5a, 512);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_OUT, 7, 512), VIRTIO_BLK_S_OK);
	fake_ring(0, MEZZ_BELL_END);
	CHECK(backend_run(b));
	close_backend(b);
	CHECK_EQ(image_size(0), FAKE_IMAGE);
	CHECK_EQ(image_size(1), 0);
	memset(fake->there, 0, sizeof(fake->there));
	memset(fake_bells, 0, MEZZ_STATE_SIZE);
	fake->vm.state = MEZZ_VM_WAITING;
	b = open_backend();
	CHECK_EQ(image_size(1), FAKE_IMAGE);
	image_path(path, 0);
	fd = open(path, O_RDONLY);
	CHECK_EQ(pread(fd, &byte, 1, 7 * 512), 1);
	CHECK_EQ(byte, 0x5a);
	close(fd);
	close_backend(b);
	tear_down();
}

TEST(refusals)
{
	struct backend *b;
	bool ended;

	set_up("disk device no-such-disk rw", "");
	CHECK(!open_backend());
	CHECK(!fake->there[SLOT] && !fake->starts);
	strcpy(fake->line[0], "disk img rx");
	CHECK(!open_backend());
	strcpy(fake->line[0], "nic lan 0 52:54:00:00:00:01 0 0");
	CHECK(!open_backend()); // there is no tap
	strcpy(fake->line[0], "disk img rw");
	fake->file_fails = 1;
	CHECK(!open_backend());
	CHECK_EQ(image_size(0), -1);
	b = calloc(1, sizeof(*b));
	CHECK(!backend_open(b, "other", run, &ended) && !ended);
	backend_close(b);
	fake->vm.state = MEZZ_VM_ENDING;
	CHECK(!backend_open(b, "web", run, &ended) && ended);
	backend_close(b);
	fake->vm.state = MEZZ_VM_RUNNING; // and what it has written is not there
	CHECK(!backend_open(b, "web", run, &ended) && !ended);
	backend_close(b);
	fake->vm.state = MEZZ_VM_WAITING;
	((struct state *)(void *)((u8 *)fake_bells + PAGE_SIZE))->version = 99;
	CHECK(!backend_open(b, "web", run, &ended) && !ended);
	backend_close(b);
	free(b);
	tear_down();
}

// One that was killed before it started the VM has left devices and images.
TEST(half_begun)
{
	struct driver d;
	struct backend *b;

	set_up("disk img rw", "disk img2 snapshot");
	b = open_backend();
	close_backend(b);
	fake->vm.state = MEZZ_VM_WAITING;
	b = open_backend();
	CHECK(b && fake->starts == 2);
	CHECK_EQ(fake->configs[SLOT], 1);
	driver_start(&d, SLOT);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	close_backend(b);
	tear_down();
}

// ---------------------------------------------------------------- killed

static u64 seed;

static u32 chance(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % n;
}

#define BLOCKS 64u // of 4 KiB that the guest works on

// What the guest knows of a block, and what it has in flight there.
struct model {
	u32 written[BLOCKS]; // number of the last write that was acknowledged
	bool busy[BLOCKS];
	struct {
		u32 type, block, number;
	} sent[DRIVER_MAX];
	u32 number;
};

static void fill(u8 *data, u32 block, u32 number)
{
	for (u32 i = 0; i < 1024; i++)
		memcpy(data + 4 * i, &(u32){number ? number * 64 + block : 0}, 4);
}

static bool is_filled(const u8 *data, u32 block, u32 number)
{
	u8 expected[4096];

	fill(expected, block, number);
	return !memcmp(data, expected, 4096);
}

static void model_send(struct model *m, struct driver *d)
{
	unsigned n = driver_free(d);
	u32 block = chance(BLOCKS),
	    what = chance(8); // many flushes, which take long: so the order changes

	if (n == DRIVER_MAX || m->busy[block])
		return;
	m->sent[n].block = block;
	m->sent[n].type = what < 2   ? VIRTIO_BLK_T_FLUSH
			  : what < 4 ? VIRTIO_BLK_T_IN
				     : VIRTIO_BLK_T_OUT;
	if (what >= 2) {
		m->busy[block] = true;
		m->sent[n].number = ++m->number;
		fill(driver_data(n), block, what < 4 ? 0 : m->number);
	}
	driver_send(d, n, m->sent[n].type, (MiB / 512) + 8 * block, what < 2 ? 0 : 4096);
}

static void model_done(struct model *m, unsigned n)
{
	u32 block = m->sent[n].block;

	CHECK_EQ(*driver_status(n), VIRTIO_BLK_S_OK);
	if (m->sent[n].type == VIRTIO_BLK_T_FLUSH)
		return;
	m->busy[block] = false;
	if (m->sent[n].type == VIRTIO_BLK_T_IN)
		CHECK(is_filled(driver_data(n), block, m->written[block]));
	else
		m->written[block] = m->sent[n].number;
	// The guest uses its buffer for something else: a late transfer would be seen in the next one.
	memset(driver_data(n), 0xa5, 4096);
}

static pid_t backend_fork(void)
{
	pid_t child = fork();

	if (!child) {
		struct backend *b;

		prctl(PR_SET_PDEATHSIG, SIGKILL); // when the test fails
		b = open_backend();
		_exit(b && backend_run(b) ? 0 : 1);
	}
	return child;
}

// Works until the time is over; at the end, if `drain`, until nothing is in flight. false: an interrupt or a notification was lost.
static bool work(struct model *m, struct driver *d, u64 us, bool drain)
{
	u64 begin = now_ms(), last = begin, turns = us / 50;

	while (turns || (drain && d->in_flight)) {
		if (turns) {
			for (u32 n = chance(12); n; n--)
				model_send(m, d);
			turns--;
		}
		if (driver_interrupted(d)) {
			for (unsigned n; (n = driver_take(d)) != DRIVER_MAX;)
				model_done(m, n);
			last = now_ms();
		}
		if (drain && !turns && now_ms() - last > 20000)
			return false;
		usleep(50);
	}
	return true;
}

static bool ends(pid_t child, int *status)
{
	for (u64 end = now_ms() + 20000; now_ms() < end; usleep(1000))
		if (waitpid(child, status, WNOHANG) == child)
			return true;
	kill(child, SIGKILL);
	waitpid(child, status, 0);
	return false;
}

static void start_wait(void)
{
	u64 end = now_ms() + 10000;

	while (!atomic_load(&fake->starts) && now_ms() < end)
		usleep(1000);
}

static void attach_wait(u32 before)
{
	u64 end = now_ms() + 10000;

	while (atomic_load(&fake->attaches) == before && now_ms() < end)
		usleep(100);
}

static void kill_rounds(const char *line, unsigned rounds)
{
	struct model m = {0};
	struct driver d;
	char path[64];
	u8 data[4096];
	unsigned working = 0;
	int fd, status = 0;
	pid_t child;

	set_up(line, "");
	child = backend_fork();
	start_wait();
	driver_start(&d, SLOT);
	driver_take(&d);
	for (unsigned i = 0; i < rounds; i++) {
		u32 attaches = atomic_load(&fake->attaches);

		CHECK(work(&m, &d, 1000 + chance(20000), i % 8 == 7));
		working += d.in_flight != 0;
		if (i % 8 == 7) // and with nothing in flight: all has been seen
			CHECK_EQ(d.in_flight, 0);
		kill(child, SIGKILL);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		child = backend_fork();
		if (chance(4)) // else it may be killed while it starts
			attach_wait(attaches);
	}
	CHECK(work(&m, &d, 10000, true));
	CHECK_EQ(d.in_flight, 0);
	CHECK(fake->attaches > rounds / 2);
	CHECK(working > rounds / 2);
	CHECK_EQ(fake->brokens[SLOT], 0);
	image_path(path, 0);
	fd = open(path, O_RDONLY);
	for (u32 i = 0; i < BLOCKS; i++) {
		CHECK_EQ(pread(fd, data, 4096, (off_t)(MiB + 4096 * i)), 4096);
		CHECK(is_filled(data, i, m.written[i]));
	}
	close(fd);
	CHECK(m.number > rounds);
	fake_ring(0, MEZZ_BELL_END);
	CHECK(ends(child, &status));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tear_down();
}

TEST(killed)
{
	const char *rounds = getenv("MEZZ_KILLS");

	seed = 1;
	kill_rounds("disk img rw", rounds ? (unsigned)atoi(rounds) : 40);
}

TEST(killed_snapshot)
{
	seed = 2;
	kill_rounds("disk img snapshot", 10);
}

// The driver resets while nobody serves: the next one begins anew, whatever the log says.
TEST(reset_meanwhile)
{
	struct driver d;
	struct backend *b;
	int status;
	pid_t child;

	set_up("disk img rw", "");
	child = backend_fork();
	start_wait();
	driver_start(&d, SLOT);
	for (unsigned i = 0; i < 10; i++)
		driver_send(&d, i, VIRTIO_BLK_T_IN, i, 512);
	usleep(20000);
	kill(child, SIGKILL);
	CHECK_EQ(waitpid(child, &status, 0), child);
	driver_reset(&d);
	fake->state[SLOT].resetting = 0; // nobody to wait for
	driver_start(&d, SLOT);
	fake->interrupts[SLOT] = 0;
	b = open_backend();
	CHECK(b);
	CHECK_EQ(do_one(b, &d, VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	close_backend(b);
	tear_down();
}

TEST_MAIN()

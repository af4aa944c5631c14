// SPDX-License-Identifier: MIT
// What a back-end can do when it serves: its work, and nothing else. Skipped where the test is not root.
// link: backend/sandbox.c backend/open.c backend/loop.c backend/device.c backend/plan.c backend/disk.c backend/image.c
// link: common/tap.c backend/uplink.c backend/say.c
// link: devices/host_linux/host_linux.c devices/host_linux/host_linux_timer.c devices/host_linux/host_linux_ring.c
// link: devices/host_linux/host_linux_block.c devices/host_linux/host_linux_file.c devices/host_linux/host_linux_net.c devices/host_linux/host_linux_filter.c
// link: devices/virtio_blk.c devices/virtio_blk_request.c devices/virtio_pace.c devices/virtio_rng.c devices/virtio.c devices/virtqueue.c
// link: devices/virtio_net.c devices/virtio_net_tx.c devices/virtio_net_rx.c devices/virtio_net_control.c
// link: devices/virtio_net_flow.c net/offload.c net/checksum.c net/frame.c net/switch.c net/stations.c net/vlan.c
// link: net/bucket.c net/config.c kernel/core/disk_line.c storage/gpt.c storage/crc32.c lib/format.c -luring -lseccomp
// link: backend/firmware.c backend/keeper.c devices/fw_tell.c devices/fw_cfg_acpi.c devices/fw_cfg_list.c lib/firmware.c storage/twin.c storage/twin_restore.c
#include "tests/unit/link_driver.h"
#include "backend/backend.h"
#include "backend/sandbox.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool possible(void)
{
	if (getuid())
		fprintf(stderr, "test_backend_sandbox: not root: nothing is tested\n");
	return !getuid();
}

static int kernel_file, other_file;

static void try_open(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}
static void try_socket(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}
static void try_exec(void)
{
	syscall(SYS_execve, "/bin/true", NULL, NULL);
}
static void try_fork(void)
{
	syscall(SYS_fork);
}
static void try_code(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void try_map(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, kernel_file, 0);
}
static void try_protect(void)
{
	syscall(SYS_mprotect, &kernel_file, 4096, PROT_EXEC);
}
static void try_other_ioctl(void)
{
	syscall(SYS_ioctl, other_file, MEZZ_IOCTL, NULL);
}
static void try_attach(void)
{
	syscall(SYS_ioctl, kernel_file, MEZZ_ATTACH, NULL);
}
static void try_ring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
}
static void try_root(void)
{
	syscall(SYS_setuid, 0);
}
static void do_call(void)
{
	if (syscall(SYS_ioctl, kernel_file, MEZZ_IOCTL, NULL) != -1)
		_exit(9);
}
static void do_write(void)
{
	if (write(2, "", 0))
		_exit(9);
}
static void do_memory(void)
{
	free(malloc(1 << 20));
}

// How a process in the sandbox ends that does this: its exit status, or the signal, negated.
static int confined(void (*fn)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (!sandbox_enter(3, kernel_file))
			syscall(SYS_exit_group, 8);
		fn();
		syscall(SYS_exit_group, 0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(calls)
{
	static void (*const refused[])(void) = {try_open, try_socket, try_exec, try_fork, try_code,
		try_map, try_protect, try_other_ioctl, try_attach, try_ring, try_root};
	static void (*const allowed[])(void) = {do_call, do_write, do_memory};

	if (!possible())
		return;
	kernel_file = open("/dev/null", O_RDWR);
	other_file = open("/dev/null", O_RDWR);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		CHECK_EQ(confined(refused[i]), -SIGSYS);
	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		CHECK_EQ(confined(allowed[i]), 0);
}

static bool status_has(pid_t pid, const char *line)
{
	char path[40], text[4096];
	ssize_t n;
	int fd;

	sprintf(path, "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[MAX(n, 0)] = 0;
	return strstr(text, line);
}

TEST(rights)
{
	pid_t child;
	int status, go[2], ready[2];
	char c;

	if (!possible())
		return;
	if (pipe(go) || pipe(ready))
		abort();
	child = fork();
	if (!child) {
		bool ok = sandbox_enter(3, kernel_file);

		syscall(SYS_write, ready[1], ok ? "y" : "n", 1);
		syscall(SYS_read, go[0], &c, 1);
		syscall(SYS_exit_group, 0);
	}
	CHECK(read(ready[0], &c, 1) == 1 && c == 'y');
	CHECK(status_has(child, "\nUid:\t2000000003\t2000000003\t2000000003\t2000000003\n"));
	CHECK(status_has(child, "\nGid:\t2000000003\t2000000003\t2000000003\t2000000003\n"));
	CHECK(status_has(child, "\nGroups:\t \n"));
	CHECK(status_has(child, "\nCapPrm:\t0000000000000000\n"));
	CHECK(status_has(child, "\nCapEff:\t0000000000000000\n"));
	CHECK(status_has(child, "\nNoNewPrivs:\t1\n"));
	CHECK(status_has(child, "\nSeccomp:\t2\n"));
	CHECK(write(go[1], "x", 1) == 1);
	waitpid(child, &status, 0);
	CHECK(WIFEXITED(status));
}

static u8 request(struct driver *d, u32 type, u64 sector, u32 len)
{
	unsigned n = driver_free(d);

	driver_send(d, n, type, sector, len);
	for (unsigned ms = 0; ms < 10000; ms++, usleep(1000))
		if (driver_interrupted(d) && driver_take(d) == n && driver_take(d) == DRIVER_MAX)
			return *driver_status(n);
	return 0xee;
}

// All that a disk does, and the end of the VM.
TEST(serves)
{
	char run[] = "/tmp/mezz-box-XXXXXX", path[64];
	struct driver d;
	pid_t child;
	int status;

	if (!possible() || !mkdtemp(run))
		return;
	fake_create("web");
	strcpy(fake->line[0], "disk img snapshot");
	child = fork();
	if (!child) {
		static struct backend b;
		bool ended, ok = backend_open(&b, "web", run, &ended);

		link_confine(b.link);
		ok = ok && sandbox_enter(3, link_fd(b.link)) && backend_run(&b);
		syscall(SYS_exit_group, !ok);
	}
	for (unsigned ms = 0; ms < 10000 && !atomic_load(&fake->starts); ms++)
		usleep(1000);
	driver_start(&d, PLAN_DISK_SLOT);
	driver_take(&d);
	CHECK_EQ(request(&d, VIRTIO_BLK_T_OUT, 8, 4096), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(&d, VIRTIO_BLK_T_IN, 8, 4096), VIRTIO_BLK_S_OK);
	CHECK_EQ(request(&d, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	driver_avail()[1] = 1000; // a broken ring, which is logged
	fake_ring(PLAN_DISK_SLOT, 1);
	for (unsigned ms = 0; ms < 10000 && !fake->brokens[PLAN_DISK_SLOT]; ms++)
		usleep(1000);
	driver_reset(&d);
	for (unsigned ms = 0; ms < 10000 && !fake->dones[PLAN_DISK_SLOT]; ms++)
		usleep(1000);
	CHECK_EQ(fake->dones[PLAN_DISK_SLOT], 1);
	fake_ring(0, MEZZ_BELL_END);
	waitpid(child, &status, 0);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	sprintf(path, "%s/web-disk0.img", run);
	CHECK(!unlink(path));
	CHECK(!rmdir(run));
	fake_destroy();
}

TEST_MAIN()

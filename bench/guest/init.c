// SPDX-License-Identifier: MIT
// PID 1 of the guest: loads the modules, runs the groups of benchmarks that its command line names, powers off.
#define _GNU_SOURCE
#include "init.h"
#include "measure.h"
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static char cmdline[2048];
static const char *arg(const char *key, const char *def)
{
	static char out[8][128];
	static int k;
	size_t l = strlen(key);
	for (char *p = cmdline; *p;) {
		if (strncmp(p, key, l) == 0 && p[l] == '=') {
			char *o = out[k++ & 7];
			size_t n = strcspn(p + l + 1, " \n");
			if (n > 127)
				n = 127;
			memcpy(o, p + l + 1, n);
			o[n] = 0;
			return o;
		}
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	return def;
}

static int has(const char *list, const char *w)
{
	size_t l = strlen(w);
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		if (n == l && strncmp(p, w, l) == 0)
			return 1;
		p += n;
		if (*p)
			p++;
	}
	return 0;
}

static void load_modules(const char *list)
{
	FILE *f = fopen(list, "r");
	char path[256];
	while (f && fgets(path, sizeof(path), f)) {
		path[strcspn(path, "\n")] = 0;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		// ENODEV is what a driver says whose bus is not here
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != ENODEV &&
				      errno != EEXIST))
			measure_info("module %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (f)
		fclose(f);
}

static void meminfo(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char key[64];
	double v;
	while (f && fscanf(f, "%63[^:]: %lf%*[^\n]\n", key, &v) == 2)
		if (!strcmp(key, "MemTotal") || !strcmp(key, "MemFree"))
			measure_value(key[3] == 'T' ? "mem_total" : "mem_free", v, "KiB");
	if (f)
		fclose(f);
}

static void read_words(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, 0);
	file_line("/proc/cmdline", cmdline, sizeof(cmdline));
}

// The first line: everything before it is start-up.
static void report_userland(u64 tsc)
{
	char uptime[256];

	file_line("/proc/uptime", uptime, sizeof(uptime));
	printf("\nBENCH userland %.0f ms-uptime\n", atof(uptime) * 1000);
	printf("BENCH tsc_at_userland %llu ticks\n", (unsigned long long)tsc);
	fflush(stdout);
}

static void set_up(void)
{
	char clock[256];

	load_modules("/modules.list");
	file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", clock,
		sizeof(clock));
	measure_info("clocksource %s", clock);
	meminfo();
	measure_calibrate();
	measure_pin(0);
}

// Of the tests with another guest: one byte there and back, bulk, or both.
static int g2g_parts(const char *tests)
{
	if (has(tests, "g2g"))
		return NET_TRIPS | NET_BULK;
	return (has(tests, "g2g_rr") ? NET_TRIPS : 0) | (has(tests, "g2g_bulk") ? NET_BULK : 0);
}

static void run_tests(const char *tests, int two)
{
	// The touch test first: it is about memory that nobody had before.
	if (has(tests, "mem"))
		memory_tests();
	if (has(tests, "cpu"))
		cpu_tests();
	if (has(tests, "exit"))
		exit_tests();
	if (has(tests, "timer"))
		timer_tests();
	if (has(tests, "ipi") && two)
		ipi_tests();
	if (two) {
		cpu_set_t s;

		CPU_ZERO(&s);
		CPU_SET(0, &s);
		CPU_SET(1, &s);
		sched_setaffinity(0, sizeof(s), &s);
	}
	if (has(tests, "blk"))
		block_tests(arg("rig.disk", "/dev/vda"));
	if (has(tests, "blk16"))
		block_depth_tests(arg("rig.disk", "/dev/vda"));
	if (has(tests, "nvme"))
		nvme_tests(arg("rig.disk", "/dev/vda"));
	if (has(tests, "lo")) {
		net_up("lo", 0, 0);
		net_loopback_tests();
	}
	if (has(tests, "net")) {
		net_up("eth0", arg("rig.ip", "10.77.0.2"), arg("rig.mask", "255.255.255.0"));
		net_tests(arg("rig.peer", "10.77.0.1"), atoi(arg("rig.port", "5001")));
	}
	if (g2g_parts(tests)) {
		net_up("eth0", arg("rig.ip", "10.77.0.2"), arg("rig.mask", "255.255.255.0"));
		net_guest_tests("10.77.0.3", 5003, g2g_parts(tests));
	}
}

// The other guest of the network tests; it says nothing, since only one guest's lines are read.
static void serve(void)
{
	load_modules("/modules.list");
	net_up("lo", 0, 0);
	net_up("eth0", "10.77.0.3", "255.255.255.0");
	measure_info("the second guest serves");
	net_serve_guest("10.77.0.3", 5003);
	reboot(RB_POWER_OFF);
}

// Holds still while the host side looks at its memory.
static void hold(int seconds)
{
	if (!seconds)
		return;
	printf("BENCH hold %d s\n", seconds);
	fflush(stdout);
	sleep((unsigned)seconds);
}

int guest_init(void)
{
	u64 tsc = rdtsc();
	struct utsname u;
	const char *tests;

	read_words();
	tests = arg("rig.tests", "none");
	if (strcmp(tests, "serve"))
		report_userland(tsc);
	mount("sys", "/sys", "sysfs", 0, 0);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(tests, "serve"))
		serve();
	measure_setup("", atoi(arg("rig.scale", "100")));
	uname(&u);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	measure_info("kernel %s cpus %ld", u.release, cpus);
	if (strcmp(tests, "none")) {
		set_up();
		run_tests(tests, cpus > 1);
		hold(atoi(arg("rig.hold", "0")));
	}
	printf("BENCH end 0 -\n");
	fflush(stdout);
	sync();
	reboot(has(arg("rig.off", "poweroff"), "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
	return 0;
}

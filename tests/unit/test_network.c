// SPDX-License-Identifier: MIT
// Networks of VMs in the root VM, with the bridges and taps of the Linux that runs this, in a network namespace of its own: who hears
// whom, what a VLAN keeps apart, where the root VM's addresses are, what one that was killed leaves behind. A tap plays the uplink.
// What is not permitted, or not in this Linux, is skipped with a word; tests/uml/run runs all of it.
// link: mezzd/network.c mezzd/bridge.c mezzd/link.c mezzd/netlink.c mezzd/uplink.c common/tap.c common/util.c net/config.c
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/device.h"
#include "mezzd/bridge.h"
#include "mezzd/network.h"
#include "common/tap.h"
#include "net/tap.h"

#define VNET    10      // bytes before each frame: struct virtio_net_hdr
#define WAIT_MS 3000    // for what comes
#define NONE_MS 50      // for what does not
#define TYPE    0x88b5u // for experiments
#define ALL     0xffffffffffffull
#define ADDR(n) (0x525400000000ull + (n))

static bool vlans; // this Linux's bridges know them

static const char *lines[8]; // of the VM, as the kernel tells them

int device_vm_line(uint64_t id, unsigned n, char *line, size_t size)
{
	(void)id;
	if (n >= 8 || !lines[n])
		return -ENOENT;
	return snprintf(line, size, "%s", lines[n]);
}

// ---- cards

// VM `vm` has one card, with the address ADDR(vm), in this switch: "NAME VLAN", and perhaps an uplink.
static bool plug(uint32_t vm, const char *where, const char *uplink)
{
	char line[512], name[16];

	snprintf(name, sizeof(name), "vm%u", vm);
	snprintf(line, sizeof(line), "%s 52:54:00:00:00:%02x 10000 0%s%s", where, vm,
		uplink ? " " : "", uplink ? uplink : "");
	return network_plug(vm, name, 0, line);
}

// Until Linux has seen, in the background, that somebody has the tap open: before, its port is no port. It may just be about to see
// that the one before has closed it, so it shall have been seen for a while.
static void wait_for_carrier(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), good = 0;
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	for (int n = 0; n < 600 && good < 10; n++) {
		usleep(5000);
		CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &r), 0);
		good = r.ifr_flags & IFF_RUNNING ? good + 1 : 0;
	}
	CHECK_EQ(good, 10);
	close(fd);
}

static int card_open(uint32_t vm)
{
	char name[NET_TAP_NAME];
	int fd;

	net_tap_name(name, vm, 0);
	fd = tap_open(name);
	CHECK(fd >= 0);
	wait_for_carrier(name);
	return fd;
}

static int card(uint32_t vm, const char *where, const char *uplink)
{
	CHECK(plug(vm, where, uplink));
	return card_open(vm);
}

static void put_addr(uint8_t *to, uint64_t addr)
{
	for (int i = 0; i < 6; i++)
		to[i] = (uint8_t)(addr >> (40 - 8 * i));
}

// Sends a frame that says `word`; tag -1: without one.
static void say(int fd, uint64_t dst, uint64_t src, int tag, uint8_t word)
{
	uint8_t f[VNET + 64] = {0}, *p = f + VNET + 12;

	put_addr(f + VNET, dst);
	put_addr(f + VNET + 6, src);
	if (tag >= 0) {
		*p++ = 0x81;
		*p++ = 0;
		*p++ = (uint8_t)(tag >> 8);
		*p++ = (uint8_t)tag;
	}
	*p++ = TYPE >> 8;
	*p++ = TYPE & 255;
	*p = word;
	CHECK_EQ(write(fd, f, sizeof(f)), sizeof(f));
}

#define SILENCE (-2)
#define PLAIN   (-1)

// The tag of the frame that says `word`, or SILENCE.
static int listen_for(int fd, uint8_t word, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t f[2048];

	while (poll(&p, 1, ms) == 1) {
		ssize_t n = read(fd, f, sizeof(f));
		uint8_t *type = f + VNET + 12;
		int tag = PLAIN;

		if (n < VNET + 60)
			continue;
		if (type[0] == 0x81 && type[1] == 0) {
			tag = (type[2] & 15) << 8 | type[3];
			type += 4;
		}
		if (type[0] == TYPE >> 8 && type[1] == (TYPE & 255) && type[2] == word)
			return tag;
	}
	return SILENCE;
}

static int heard(int fd, uint8_t word)
{
	return listen_for(fd, word, WAIT_MS);
}

static bool silent(int fd, uint8_t word)
{
	return listen_for(fd, word, NONE_MS) == SILENCE;
}

static bool there(const char *name)
{
	struct link l;

	return link_find(name, &l);
}

// The end of a test: nothing is left.
static void end(int *fds, size_t n)
{
	struct links l;

	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	network_keep(NULL, 0);
	CHECK_EQ(links_read(&l), 0);
	for (size_t i = 0; i < l.count; i++)
		CHECK(strncmp(l.list[i].name, "mz", 2) != 0);
	links_free(&l);
}

static bool skipped(const char *what)
{
	if (!vlans)
		printf("skipped: %s: this Linux's bridges know no VLANs\n", what);
	return !vlans;
}

TEST(cards_of_a_switch_hear_each_other)
{
	int fd[] = {card(1, "lan 0", NULL), card(2, "lan 0", NULL), card(3, "other 0", NULL)};

	say(fd[0], ADDR(2), ADDR(1), -1, 1);
	CHECK_EQ(heard(fd[1], 1), PLAIN);
	say(fd[1], ALL, ADDR(2), -1, 2);
	CHECK_EQ(heard(fd[0], 2), PLAIN);
	CHECK(silent(fd[2], 2));
	end(fd, 3);
}

TEST(a_card_hears_nothing_of_others)
{
	int fd[] = {card(1, "lan 0", NULL), card(2, "lan 0", NULL), card(3, "lan 0", NULL)};

	say(fd[0], ADDR(2), ADDR(1), -1, 1);
	CHECK_EQ(heard(fd[1], 1), PLAIN);
	CHECK(silent(fd[2], 1));
	say(fd[0], ADDR(99), ADDR(1), -1, 2); // of nobody
	CHECK(silent(fd[1], 2));
	say(fd[2], ALL, ADDR(2), -1, 3); // says that it is 2
	say(fd[0], ADDR(2), ADDR(1), -1, 4);
	CHECK_EQ(heard(fd[1], 4), PLAIN);
	CHECK(silent(fd[2], 4));
	end(fd, 3);
}

// Who hears a frame to all that port `from` sends with a tag.
static void expect_all(const int *fd, size_t n, unsigned from, int tag, const int *expected)
{
	static uint8_t word = 100;

	say(fd[from], ALL, ADDR(from + 1), tag, ++word);
	for (unsigned i = 0; i < n; i++)
		if (i != from &&
			listen_for(fd[i], word, expected[i] == SILENCE ? NONE_MS : WAIT_MS) !=
				expected[i]) {
			fprintf(stderr, "from %u with tag %d: not as expected at %u\n", from, tag,
				i);
			test_failures++;
		}
}

TEST(vlans_are_kept_apart)
{
	enum { TEN, TEN2, TWENTY, NONE, TRUNK, LIST, LIST0, PORTS };
	static const char *const where[PORTS] = {"lan 10", "lan 10", "lan 20", "lan 0", "lan trunk",
		"lan trunk:10,30", "lan trunk:0,20"};
	const int S = SILENCE, P = PLAIN;
	int fd[PORTS];

	if (skipped("vlans_are_kept_apart"))
		return;
	for (unsigned i = 0; i < PORTS; i++)
		fd[i] = card(i + 1, where[i], NULL);
	expect_all(fd, PORTS, TEN, -1, (int[]){S, P, S, S, 10, 10, S});
	expect_all(fd, PORTS, TEN, 10, (int[]){S, P, S, S, 10, 10, S}); // its own: no harm
	expect_all(fd, PORTS, TEN, 20, (int[]){S, S, S, S, S, S, S});
	expect_all(fd, PORTS, TWENTY, -1, (int[]){S, S, S, S, 20, S, 20});
	expect_all(fd, PORTS, NONE, -1, (int[]){S, S, S, S, P, S, P});
	expect_all(fd, PORTS, NONE, 0, (int[]){S, S, S, S, P, S, P});
	expect_all(fd, PORTS, TRUNK, -1, (int[]){S, S, S, P, S, S, P});
	expect_all(fd, PORTS, TRUNK, 10, (int[]){P, P, S, S, S, 10, S});
	expect_all(fd, PORTS, TRUNK, 30, (int[]){S, S, S, S, S, 30, S});
	expect_all(fd, PORTS, LIST, -1, (int[]){S, S, S, S, S, S, S});
	expect_all(fd, PORTS, LIST, 20, (int[]){S, S, S, S, S, S, S});
	expect_all(fd, PORTS, LIST, 30, (int[]){S, S, S, S, 30, S, S});
	expect_all(fd, PORTS, LIST0, -1, (int[]){S, S, S, P, P, S, S});
	expect_all(fd, PORTS, LIST0, 20, (int[]){S, S, P, S, 20, S, S});
	say(fd[TRUNK], ADDR(LIST + 1), ADDR(TRUNK + 1), 30, 1); // to one, by its address
	CHECK_EQ(heard(fd[LIST], 1), 30);
	end(fd, PORTS);
}

TEST(a_killed_back_end_finds_its_tap_again)
{
	int fd[] = {card(1, "lan 0", NULL), card(2, "lan 0", NULL)};

	close(fd[1]);
	CHECK(plug(2, "lan 0", NULL));
	fd[1] = card_open(2);
	say(fd[0], ADDR(2), ADDR(1), -1, 1);
	CHECK_EQ(heard(fd[1], 1), PLAIN);
	CHECK_EQ(tap_open("mz2-0"), -EBUSY);
	end(fd, 2);
}

TEST(taps_and_bridges_go_with_their_vms)
{
	int fd[] = {card(1, "lan 0", NULL), card(2, "lan 0", NULL),
		card(3, "a-switch-with-a-very-long-name 0", NULL)};
	char name[IF_NAMESIZE];

	bridge_name(name, "a-switch-with-a-very-long-name");
	CHECK(there("mz-lan") && there(name) && there("mz1-0"));
	network_keep((uint32_t[]){1, 3}, 2);
	CHECK(there("mz-lan") && there("mz1-0") && !there("mz2-0"));
	network_keep((uint32_t[]){3}, 1);
	CHECK(!there("mz-lan") && !there("mz1-0") && there(name));
	end(fd, 3);
	CHECK(!there(name));
}

TEST(a_number_that_another_vm_gets_has_a_new_tap)
{
	int fd[] = {card(1, "lan 0", NULL), card(2, "lan 0", NULL)};
	struct link before, after, bridge;

	CHECK(link_find("mz2-0", &before));
	CHECK(plug(2, "lan 0", NULL) && link_find("mz2-0", &after));
	CHECK_EQ(before.index, after.index);
	close(fd[1]);
	fd[1] = card(2, "other 0", NULL);
	CHECK(link_find("mz2-0", &after) && link_find("mz-other", &bridge));
	CHECK(before.index != after.index && after.master == bridge.index);
	say(fd[0], ALL, ADDR(1), -1, 1);
	CHECK(silent(fd[1], 1));
	end(fd, 2);
}

TEST(what_is_wrong_is_refused)
{
	struct link bridge;

	CHECK(!network_plug(1, "a", 0, "lan 0"));
	CHECK(!plug(1, "lan 4094", NULL) && !plug(1, "lan trunk:1,4094", NULL));
	CHECK(!plug(1, "lan 0", "none0"));
	CHECK_EQ(bridge_make("mz-taken", false), 0);
	CHECK(link_find("mz-taken", &bridge));
	CHECK_EQ(link_set_alias(bridge.index, "the user's"), 0);
	CHECK(!plug(1, "taken 0", NULL));
	end(NULL, 0);
}

TEST(all_cards_of_a_vm_are_plugged)
{
	lines[0] = "disk device nvme0n1 rw";
	lines[1] = "nic lan 0 52:54:00:00:00:01 10000 0";
	lines[2] = "balloon off";
	lines[3] = "nic back 0 52:54:00:00:00:02 10000 0";
	CHECK(network_plug_vm(7, "web"));
	CHECK(there("mz7-0") && there("mz7-1") && !there("mz7-2") && there("mz-lan") &&
		there("mz-back"));
	lines[3] = "nic back 0 ff:ff:ff:ff:ff:ff 10000 0";
	CHECK(!network_plug_vm(7, "web"));
	memset(lines, 0, sizeof(lines));
	end(NULL, 0);
}

// ---- the uplink

static struct netlink_message m;

static void set_address(int device, const char *address)
{
	struct ifaddrmsg fixed = {
		.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = (unsigned)device};
	struct in_addr a;

	inet_pton(AF_INET, address, &a);
	netlink_begin(&m, RTM_NEWADDR, NLM_F_CREATE, &fixed, sizeof(fixed));
	netlink_put(&m, IFA_LOCAL, &a, sizeof(a));
	netlink_put(&m, IFA_ADDRESS, &a, sizeof(a));
	CHECK_EQ(netlink_do(&m), 0);
}

static void set_default_route(int device, const char *gateway)
{
	struct rtmsg fixed = {.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_type = RTN_UNICAST};
	struct in_addr a;

	inet_pton(AF_INET, gateway, &a);
	netlink_begin(&m, RTM_NEWROUTE, NLM_F_CREATE, &fixed, sizeof(fixed));
	netlink_put(&m, RTA_GATEWAY, &a, sizeof(a));
	netlink_put_u32(&m, RTA_OIF, (uint32_t)device);
	CHECK_EQ(netlink_do(&m), 0);
}

struct count {
	int device, addresses, routes;
};

static void count(const struct nlmsghdr *h, void *user)
{
	const struct rtattr *a[RTA_MAX + 1];
	struct count *c = user;

	if (h->nlmsg_type == RTM_NEWADDR) {
		const struct ifaddrmsg *fixed = NLMSG_DATA(h);

		c->addresses += (int)fixed->ifa_index == c->device && fixed->ifa_family == AF_INET;
		return;
	}
	netlink_attributes(h, sizeof(struct rtmsg), a, RTA_MAX);
	c->routes += a[RTA_GATEWAY] && (int)netlink_u32(a[RTA_OIF], 0) == c->device;
}

// The device has so many addresses, and routes by a gateway.
static void has(int device, int addresses, int routes)
{
	struct rtgenmsg all = {.rtgen_family = AF_INET};
	struct count c = {.device = device};

	netlink_begin(&m, RTM_GETADDR, 0, &all, sizeof(all));
	CHECK_EQ(netlink_dump(&m, count, &c), 0);
	netlink_begin(&m, RTM_GETROUTE, 0, &all, sizeof(all));
	CHECK_EQ(netlink_dump(&m, count, &c), 0);
	CHECK_EQ(c.addresses, addresses);
	CHECK_EQ(c.routes, routes);
}

static int uplink_open(struct link *l)
{
	int fd = tap_open("up0");

	CHECK(fd >= 0 && link_find("up0", l));
	CHECK_EQ(link_up(l->index), 0);
	wait_for_carrier("up0");
	return fd;
}

TEST(frames_go_out_and_come_in)
{
	struct link up;
	int out = uplink_open(&up);
	int fd[] = {card(1, "lan 0", "up0"), card(2, "lan 0", "up0"), out};

	say(fd[0], ADDR(0x77), ADDR(1), -1, 1); // unknown: sought outside only
	CHECK_EQ(heard(out, 1), PLAIN);
	CHECK(silent(fd[1], 1));
	say(out, ADDR(2), ADDR(0x77), -1, 2);
	CHECK_EQ(heard(fd[1], 2), PLAIN);
	CHECK(silent(fd[0], 2));
	say(out, ALL, ADDR(2), -1, 3); // somebody outside has the address of a VM
	say(fd[0], ADDR(2), ADDR(1), -1, 4);
	CHECK_EQ(heard(fd[1], 4), PLAIN);
	end(fd, 3);
}

TEST(vlans_have_their_tags_outside)
{
	struct link up;
	int out;

	if (skipped("vlans_have_their_tags_outside"))
		return;
	out = uplink_open(&up);
	int fd[] = {card(1, "lan 10", "up0"), card(2, "lan 0", "up0"), out};

	say(fd[0], ALL, ADDR(1), -1, 1);
	CHECK_EQ(heard(out, 1), 10);
	CHECK(silent(fd[1], 1));
	say(fd[1], ALL, ADDR(2), -1, 2);
	CHECK_EQ(heard(out, 2), PLAIN);
	say(out, ALL, ADDR(0x77), 10, 3);
	CHECK_EQ(heard(fd[0], 3), PLAIN);
	CHECK(silent(fd[1], 3));
	say(out, ADDR(1), ADDR(0x77), -1, 4); // the right address in the wrong VLAN
	CHECK(silent(fd[0], 4));
	end(fd, 3);
}

TEST(addresses_move_to_the_bridge_and_back)
{
	struct link up, bridge;
	int out = uplink_open(&up);

	set_address(up.index, "10.7.0.9");
	set_address(up.index, "10.8.0.9");
	set_default_route(up.index, "10.7.0.1");
	has(up.index, 2, 1);
	int fd[] = {card(1, "lan 0", "up0"), out};
	CHECK(link_find("mz-lan", &bridge));
	CHECK(memcmp(bridge.addr, up.addr, 6) == 0);
	has(up.index, 0, 0);
	has(bridge.index, 2, 1);
	set_address(up.index, "10.8.0.9"); // its lease was renewed
	set_address(up.index, "10.9.0.9");
	network_keep((uint32_t[]){1}, 1);
	has(up.index, 0, 0);
	has(bridge.index, 3, 1);
	network_keep(NULL, 0);
	CHECK(!there("mz-lan"));
	has(up.index, 3, 1);
	end(fd, 2);
}

TEST(an_uplink_is_of_one_switch)
{
	struct link up;
	int out = uplink_open(&up);
	int fd[] = {card(1, "lan 0", "up0"), out};

	CHECK(!plug(2, "other 0", "up0"));
	end(fd, 2);
}

// Is killed while it makes a network, a little later each time: whatever was there then, the next one makes it complete.
TEST(killed_at_any_moment)
{
	struct link up, bridge;
	int out = uplink_open(&up), status = 0;
	unsigned killed = 0;

	set_address(up.index, "10.7.0.9");
	set_default_route(up.index, "10.7.0.1");
	for (useconds_t after = 0; after < 20000; after += 700) {
		pid_t pid = fork();

		if (pid == 0) {
			plug(1, "lan 0", "up0");
			network_keep((uint32_t[]){2}, 1);
			_exit(0);
		}
		usleep(after);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		killed += WIFSIGNALED(status);
		int fd = card(1, "lan 0", "up0");

		say(fd, ALL, ADDR(1), -1, 5);
		CHECK_EQ(heard(out, 5), PLAIN);
		CHECK(link_find("mz-lan", &bridge));
		has(up.index, 0, 0);
		has(bridge.index, 1, 1);
		end(&fd, 1);
		has(up.index, 1, 1);
		if (!WIFSIGNALED(status) && after > 2000)
			break;
	}
	CHECK(killed > 3);
	close(out);
}

static bool in_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
		printf("skipped: no network namespace: %s\n", strerror(errno));
		return false;
	}
	fd = tap_open("probe");
	if (fd < 0)
		printf("skipped: no tap: %s\n", strerror(-fd));
	close(fd);
	if (fd >= 0 && bridge_make("mz-probe", false) != 0) {
		puts("skipped: this Linux has no bridges");
		return false;
	}
	network_keep(NULL, 0);
	return fd >= 0;
}

int main(void)
{
	if (!in_namespace()) {
		puts("0 passed, 0 failed");
		return 0;
	}
	vlans = bridge_make("mz-probe", true) == 0;
	if (!vlans)
		network_without_vlans();
	network_keep(NULL, 0);
	return test_run_all();
}

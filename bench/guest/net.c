// SPDX-License-Identifier: MIT
// TCP: one byte there and back, and bulk each way.
//
// One connection: a byte says what, eight bytes say how much.
//	'U' the client sends n bytes, then one byte comes back
//	'D' the server sends n bytes
//	'E' the server echoes n single bytes
//	'Q' the server ends
#define _GNU_SOURCE
#include "measure.h"
#include "tests.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int rdall(int fd, void *b, size_t n)
{
	for (size_t k = 0; k < n;) {
		ssize_t r = read(fd, (char *)b + k, n - k);
		if (r <= 0)
			return -1;
		k += (size_t)r;
	}
	return 0;
}

static int wrall(int fd, const void *b, size_t n)
{
	for (size_t k = 0; k < n;) {
		ssize_t r = write(fd, (const char *)b + k, n - k);
		if (r <= 0)
			return -1;
		k += (size_t)r;
	}
	return 0;
}

#define NBUF 65536

static volatile int quit; // of the server that serves one client

static void net_serve(int c)
{
	static __thread char buf[NBUF];
	char op;
	u64 n;
	while (rdall(c, &op, 1) == 0 && rdall(c, &n, 8) == 0) {
		if (op == 'U') {
			while (n) {
				ssize_t r = read(c, buf, n < NBUF ? n : NBUF);
				if (r <= 0)
					return;
				n -= (u64)r;
			}
			if (wrall(c, buf, 1))
				return;
		} else if (op == 'D') {
			while (n) {
				size_t k = n < NBUF ? n : NBUF;
				if (wrall(c, buf, k))
					return;
				n -= k;
			}
		} else if (op == 'E') {
			while (n--)
				if (rdall(c, buf, 1) || wrall(c, buf, 1))
					return;
		} else {
			quit |= op == 'Q';
			return;
		}
	}
}

static void *net_thread(void *p)
{
	int c = (int)(long)p, one = 1;
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	net_serve(c);
	close(c);
	return 0;
}

static int net_listen(const char *ip, int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	socklen_t l = sizeof(a);
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, ip, &a.sin_addr);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (s < 0 || bind(s, (void *)&a, sizeof(a)) || listen(s, 8))
		return -1;
	getsockname(s, (void *)&a, &l);
	*port = ntohs(a.sin_port);
	return s;
}

static void net_accept(int s)
{
	for (;;) {
		int c = accept(s, 0, 0);
		pthread_t th;
		if (c < 0)
			continue;
		if (pthread_create(&th, 0, net_thread, (void *)(long)c) == 0)
			pthread_detach(th);
		else
			close(c);
	}
}

int net_server(const char *ip, int port)
{
	int s = net_listen(ip, &port);
	if (s < 0) {
		perror("netserver");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	printf("PORT %d\n", port);
	fflush(stdout);
	net_accept(s);
	return 0;
}

void net_up(const char *ifn, const char *ip, const char *mask)
{
	struct ifreq r;
	struct sockaddr_in *a = (void *)&r.ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	memset(&r, 0, sizeof(r));
	strncpy(r.ifr_name, ifn, IFNAMSIZ - 1);
	if (ip) {
		a->sin_family = AF_INET;
		inet_pton(AF_INET, ip, &a->sin_addr);
		if (ioctl(s, SIOCSIFADDR, &r))
			measure_info("ifup %s: %s", ifn, strerror(errno));
		inet_pton(AF_INET, mask, &a->sin_addr);
		ioctl(s, SIOCSIFNETMASK, &r);
	}
	ioctl(s, SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
}

static int net_req(int fd, char op, u64 n)
{
	char b[9];
	b[0] = op;
	memcpy(b + 1, &n, 8);
	return wrall(fd, b, 9);
}

static int net_connect(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval short_wait = {1, 0}, wait = {30, 0};
	int one = 1;

	inet_pton(AF_INET, ip, &a.sin_addr);
	for (int i = 0; i < 40; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_wait,
			sizeof(short_wait)); // bounds connect()
		if (connect(fd, (void *)&a, sizeof(a)) == 0) {
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return fd;
		}
		close(fd);
		usleep(250000);
	}
	return -1;
}

static void net_value(const char *tag, const char *what, double value, const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "net_%s_%s", tag, what);
	measure_value(name, value, unit);
}

// Round trips of one byte.
static int round_trips(int fd, const char *tag, long n)
{
	const long warm = 50;
	double *d = malloc((size_t)n * sizeof(*d));
	char c = 0;
	int bad = !d || net_req(fd, 'E', (u64)(n + warm));

	for (long i = -warm; i < n && !bad; i++) {
		u64 t = rdtsc();

		bad = wrall(fd, &c, 1) || rdall(fd, &c, 1);
		if (i >= 0)
			d[i] = measure_ns((double)(rdtsc() - t));
	}
	if (!bad) {
		measure_sort(d, (size_t)n);
		net_value(tag, "rr_p50", d[n / 2], "ns");
		net_value(tag, "rr_p95", d[n * 95 / 100], "ns");
	}
	free(d);
	return bad;
}

// Bulk to the server and from it.
static int bulk(int fd, const char *tag, long mib)
{
	static char buf[NBUF];
	u64 n = (u64)mib << 20, t = now_ns();

	if (net_req(fd, 'U', n))
		return -1;
	for (u64 k = 0; k < n; k += NBUF)
		if (wrall(fd, buf, NBUF))
			return -1;
	if (rdall(fd, buf, 1))
		return -1;
	net_value(tag, "tx", (double)mib / ((double)(now_ns() - t) / 1e9), "MiB/s");
	t = now_ns();
	if (net_req(fd, 'D', n))
		return -1;
	for (u64 k = 0; k < n;) {
		ssize_t r = read(fd, buf, NBUF);

		if (r <= 0)
			return -1;
		k += (u64)r;
	}
	net_value(tag, "rx", (double)mib / ((double)(now_ns() - t) / 1e9), "MiB/s");
	return 0;
}

// Frames that a card has sent and received.
static void frames(const char *tag)
{
	static const char *const dir[] = {"tx", "rx"};

	for (int i = 0; i < 2; i++) {
		char path[64], what[16], n[32];

		snprintf(path, sizeof(path), "/sys/class/net/eth0/statistics/%s_packets", dir[i]);
		snprintf(what, sizeof(what), "%s_frames", dir[i]);
		file_line(path, n, sizeof(n));
		net_value(tag, what, atof(n), "frames");
	}
}

static void client(const char *tag, const char *ip, int port, long mib, long trips)
{
	int fd = net_connect(ip, port);

	if (fd < 0) {
		measure_info("net %s: cannot connect to %s: %s", tag, ip, strerror(errno));
		return;
	}
	if (round_trips(fd, tag, trips) || bulk(fd, tag, mib))
		measure_info("net %s: %s", tag, strerror(errno));
	close(fd);
}

void net_tests(const char *ip, int port)
{
	client("host", ip, port, measure_scaled(32), measure_scaled(500));
}

void net_guest_tests(const char *ip, int port, int parts)
{
	int fd = net_connect(ip, port);

	if (fd < 0) {
		measure_info("net g2g: cannot connect to %s: %s", ip, strerror(errno));
		return;
	}
	if ((parts & NET_TRIPS && round_trips(fd, "g2g", measure_scaled(1000))) ||
		(parts & NET_BULK && bulk(fd, "g2g", measure_scaled(64))) || net_req(fd, 'Q', 0))
		measure_info("net g2g: %s", strerror(errno));
	frames("g2g");
	close(fd);
}

int net_serve_guest(const char *ip, int port)
{
	int one = 1, s = net_listen(ip, &port);

	while (s >= 0 && !quit) {
		int c = accept(s, 0, 0);

		if (c < 0)
			continue;
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		net_serve(c);
		close(c);
	}
	return s < 0;
}

void net_loopback_tests(void)
{
	int port = 5002, s = net_listen("127.0.0.1", &port);
	pid_t p;
	if (s < 0 || (p = fork()) < 0)
		return;
	if (p == 0) {
		net_accept(s);
		_exit(0);
	}
	close(s);
	client("lo", "127.0.0.1", port, measure_scaled(64), measure_scaled(1000));
	kill(p, SIGKILL);
	waitpid(p, 0, 0);
}

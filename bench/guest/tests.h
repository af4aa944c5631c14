// SPDX-License-Identifier: MIT
// The groups of benchmarks, each in a file of its own, and the network server that plays their partner.
#pragma once

void cpu_tests(void);    // cpu.c: work without exits
void memory_tests(void); // memory.c: pages that are new to the VM
void exit_tests(void);   // exits.c: instructions that may exit; the ring-0 ones through rigbench.ko
void timer_tests(void);  // exits.c: how late a sleep ends
void ipi_tests(void);    // cpu.c: two processes on two CPUs
void block_tests(const char *device); // block.c: O_DIRECT on a block device
void block_depth_tests(
	const char *device);              // block.c: of these, one with several requests in flight
void nvme_tests(const char *device);      // block.c: the same on an emulated NVMe disk
void net_tests(const char *ip, int port); // net.c: TCP with the server at ip:port
void net_loopback_tests(void);            // net.c: the same within the guest
enum { NET_TRIPS = 1, NET_BULK = 2 };
void net_guest_tests(
	const char *ip, int port, int parts); // net.c: the same with another guest, which then ends
void net_up(const char *interface, const char *ip, const char *mask); // ip may be NULL

// Serves net_tests until it is killed; port 0 picks one. Prints "PORT n".
int net_server(const char *ip, int port);

// The other guest: serves net_guest_tests until the client ends it. 0, or 1: it cannot.
int net_serve_guest(const char *ip, int port);

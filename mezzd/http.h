// SPDX-License-Identifier: MIT
// HTTP on a Unix socket: connections, bodies and streams, by libmicrohttpd in our loop. All is bounded: HTTP_CONNECTIONS at once, of
// which HTTP_STREAMS go on for ever, API_BODY_MAX bytes of a body, 30 s without a byte of a request.
#pragma once

#include <microhttpd.h>
#include <stdbool.h>

#include "mezzd/loop.h"
#include "mezzd/manager.h"

#define HTTP_SOCKET      "/run/mezz/mezzd.sock"
#define HTTP_CONNECTIONS 64u
#define HTTP_STREAMS     32u
#define HTTP_SILENCE     30u  // seconds
#define HTTP_CONSOLE_MS  100  // between two looks at consoles that somebody reads
#define HTTP_GONE_MS     1000 // between two looks for listeners that have gone

struct stream;

struct http {
	struct loop *loop;
	struct manager *manager;
	struct MHD_Daemon *daemon;
	struct loop_source source;
	struct loop_timer timer;  // the library's
	struct loop_timer wakeup; // of streams
	struct stream *streams;
	unsigned stream_count;
	const char *path;
};

// Makes the socket, for root and its group, in place of one that was left; its folder, too. False after a message.
bool http_open(struct http *h, struct loop *l, struct manager *m, const char *path);
void http_close(struct http *h);

// Its streams look for something new.
void http_wake(struct http *h);

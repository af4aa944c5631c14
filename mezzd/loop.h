// SPDX-License-Identifier: MIT
// The event loop: descriptors that become ready, and timers. One thread; what is called runs to completion.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop_source {
	int fd;
	void (*ready)(struct loop_source *s); // there is something to read
};

struct loop_timer {
	void (*due)(struct loop_timer *t);
	int64_t at; // ms of clock_ms
	bool set;
	struct loop_timer *next;
};

struct loop {
	int epoll;
	bool ended;
	struct loop_timer *timers; // that are set, by their time
};

// False after a message.
bool loop_open(struct loop *l);
void loop_close(struct loop *l);

// The source, and a timer that is set, stay where they are until they are forgotten or due. False after a message.
bool loop_watch(struct loop *l, struct loop_source *s);
void loop_forget(struct loop *l, struct loop_source *s); // before its descriptor is closed

void loop_set(struct loop *l, struct loop_timer *t, int64_t at); // anew, if it was set
void loop_clear(struct loop *l, struct loop_timer *t);

// Runs until loop_end. False after a message.
bool loop_run(struct loop *l);
void loop_end(struct loop *l);
